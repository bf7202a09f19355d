"""`vidya lock` over a real node: the curve, the promise before the question, and every unit of a lock."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chain.modules import lockers
from chain.primitives.power_law import ONE
from cli.screens.lockers import build_curve, list_promise
from node.home.profiles import load_profile
from tests.cli.lockers.scene import Scene, open_scene
from tests.node.api.world import ALICE
from tests.node.cluster import VIDYA

pytestmark = pytest.mark.network


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A node that listens."""
    async with open_scene(tmp_path) as opened:
        yield opened


async def test_a_lock_is_made_extended_claimed_and_left(scene: Scene) -> None:
    """Through its whole life the command tells what the chain did, and leaving forfeits what it had said."""
    made = await scene.run("lock", "make", "100", "--weeks", "1")
    assert made.exit_code == 0, made.output
    assert "locked until era " in made.stderr and "lost if you leave before that" in made.stderr
    assert "for 1 of 8 weeks weighs " in made.stderr and "YOURS" in made.stderr
    (lock,) = await scene.ask("lock", "list")
    assert (lock["number"], lock["amount"], lock["weeks"]) == (0, 100 * VIDYA, 1)
    scene.wait_era(lock["ends_era"] + 1)
    claimed = await scene.ask("lock", "claim", "0")
    assert 0 < claimed["amount"] < claimed["accrued"] and claimed["served_ppb"] == ONE
    extended = await scene.ask("lock", "extend", "0", "--weeks", "8")
    assert extended["weeks"] == 8 and extended["ends_era"] > lock["ends_era"]
    left = await scene.run("lock", "leave", "0", "-o", "json")
    told = json.loads(left.stdout)
    assert told["forfeited"] > 0 and told["amount"] == 100 * VIDYA
    whole, rest = divmod(told["forfeited"], VIDYA)
    assert f"lost if you leave now: {whole:,}.{rest:09}".rstrip("0") in left.stderr
    assert (await scene.ask("lock", "list")) == []


async def test_leaving_gives_back_the_amount_to_the_unit(scene: Scene) -> None:
    """Afterwards the account has what it had and what it was paid, less fees of transactions."""
    before = scene.world.ledger.get_free(ALICE.address)
    await scene.ask("lock", "make", "100", "--weeks", "8")
    scene.wait_era(4)
    (lock,) = await scene.ask("lock", "list", "alice")
    assert lock["forfeited"] > 0
    told = await scene.ask("lock", "leave", "0")
    fees = before + told["paid"] - scene.world.ledger.get_free(ALICE.address)
    assert 0 < fees < VIDYA // 100
    assert lockers.get_lock(scene.world.ledger.state, ALICE.address, 0) is None


async def test_refusals_are_told(scene: Scene) -> None:
    """No such lock, a term out of bounds and an amount too small are errors with their codes."""
    for words, code in (
        (("lock", "make", "100", "--weeks", "9"), "lockers.term_out_of_bounds"),
        (("lock", "make", "0.5", "--weeks", "2"), "lockers.amount_too_small"),
        (("lock", "claim", "3"), "lockers.no_such_lock"),
        (("lock", "extend", "3", "--weeks", "2"), "not_found"),
    ):
        result = await scene.run(*words, "-o", "json")
        assert result.exit_code != 0 and json.loads(result.stderr.splitlines()[-1])["error"]["code"] == code


async def test_refusals_name_the_bounds(scene: Scene) -> None:
    """A parameter that bounds something is told with its value, in a dry run and before sending."""
    for more in ((), ("--dry-run",)):
        few = await scene.run("lock", "make", "0.5", "--weeks", "2", *more)
        long = await scene.run("lock", "make", "5", "--weeks", "9", *more)
        assert "amount_min (1 VIDYA)" in few.output and "weeks_max (8)" in long.output


async def test_a_dry_run_sends_nothing(scene: Scene) -> None:
    """Each verb shows fee and events, and the account's nonce stays."""
    await scene.ask("lock", "make", "100", "--weeks", "1")
    nonce = (await scene.ask("query", "account", "alice"))["nonce"]
    tried = await scene.ask("lock", "make", "100", "--weeks", "2", "--dry-run")
    assert tried["fee"] > 0 and tried["events"][0]["name"] == "lockers.Locked"
    assert (await scene.ask("lock", "extend", "0", "--weeks", "8", "--dry-run"))["error"] is None
    assert (await scene.ask("lock", "claim", "0", "--dry-run"))["error"]["code"] == "lockers.nothing_vested"
    left = await scene.ask("lock", "leave", "0", "--dry-run")
    assert left["events"][0]["name"] == "lockers.LockLeft"
    assert (await scene.ask("query", "account", "alice"))["nonce"] == nonce


async def test_weeks_are_told_with_the_time_they_mean(scene: Scene) -> None:
    """A week of a devnet is an era of minutes, which is said wherever weeks are promised."""
    made = await scene.run("lock", "make", "100", "--weeks", "4")
    curve = await scene.run("lock", "curve")
    week = "a week is 1 era here ("
    assert week in made.stderr and week in curve.stderr
    assert re.search(r"for 4 weeks \(\d+ \w+\)", made.stderr)


async def test_tables_read_in_tokens_and_percent(scene: Scene) -> None:
    """Tables show the curve with bars and the locks in tokens, never billionths."""
    curve = await scene.run("lock", "curve")
    assert curve.exit_code == 0 and "########" in curve.stdout and "100%" in curve.stdout
    await scene.ask("lock", "make", "100", "--weeks", "2")
    listed = await scene.run("lock", "list")
    assert "100 VIDYA" in listed.stdout and "LOST IF LEFT" in listed.stdout and "ppb" not in listed.stdout
    assert "all lockers: 100 VIDYA locked" in listed.stderr


@pytest.mark.parametrize("profile", ["public", "devnet", "minimal"])
def test_the_curve_is_what_the_chain_computes(profile: str) -> None:
    """Weights and shares of the tables are those of the state machine, ascending, up to the whole."""
    parameters = load_profile(profile).lockers.parameters
    curve = build_curve(parameters)
    for row in curve["weight"]:
        assert row["share_ppb"] == lockers.compute_weight(parameters, ONE, row["weeks"])
    for row in curve["vesting"]:
        served = lockers.Lock(ONE, 1, 0, 0, 0, 0, 0, accrued=ONE)
        assert row["share_ppb"] == lockers.compute_claimable(parameters, served, row["eras"] + 1)
    for rows in curve.values():
        shares = [row["share_ppb"] for row in rows]
        assert shares == sorted(shares) and shares[-1] == ONE


@pytest.mark.parametrize("weeks", [1, 26, 52])
def test_the_promise_is_what_a_lock_can_claim(weeks: int) -> None:
    """The share shown for an age is what a lock with a billion accrued could claim then, to a billionth."""
    parameters = load_profile("public").lockers.parameters
    end = lockers.compute_end(parameters, 0, weeks)
    lock = lockers.Lock(ONE, weeks, 0, 0, end, 0, 0, accrued=ONE)
    rows = list_promise(parameters, weeks)
    for row in rows:
        era = row["after_eras"] + 1
        assert row["yours_ppb"] == lockers.compute_claimable(parameters, lock, era)
        assert row["is_locked"] == (era < end)
    assert rows[-1]["yours_ppb"] == ONE
