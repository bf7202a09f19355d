"""`vidya jury` over a real node: a case from the challenge to the money, and what is refused on the way."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from chain.modules import balances, catalogue, juries, membership
from chain.modules.juries import CommitVerdict
from chain.primitives.addresses import encode_address
from chain.primitives.types import Hash
from tests.cli.lockers.scene import Scene, open_scene
from tests.node.api.world import ALICE, BOB, VALIDATOR
from tests.node.cluster import VIDYA

pytestmark = pytest.mark.network

BOND = 50 * VIDYA


class Court(Scene):
    """A scene in which bob has listed and sponsored a datum; the only validator judges it."""

    def prepare(self) -> Hash:
        """The datum."""
        listing = catalogue.ListDatum(b"f" * 32, b"r" * 32, 2**20, "Noise", "data", (), "")
        datum = catalogue.compute_datum_id(listing)
        self.world.make_block(self.world.sign(BOB, listing, catalogue.Sponsor(datum, BOND)))
        return datum

    def go_to_epoch(self, epoch: int) -> None:
        """Blocks up to the first of an epoch."""
        while self.world.ledger.height < epoch * self.world.ledger.get_parameters().epoch_blocks + 1:
            self.world.make_block()

    async def fail(self, *words: str, **more: Any) -> tuple[str, str]:
        """The code of the error that a command ends with, and all that it says."""
        result: Result = await self.run(*words, "-o", "json", **more)
        assert result.exit_code != 0, result.output
        return str(json.loads(result.stderr.splitlines()[-1])["error"]["code"]), result.stderr


@pytest.fixture
async def court(tmp_path: Path) -> AsyncIterator[Court]:
    """A node that listens."""
    async with open_scene(tmp_path) as opened:
        opened.__class__ = Court
        yield opened  # type: ignore[misc]


async def test_a_case_from_the_challenge_to_the_money(court: Court) -> None:
    """Challenge, vote, reveal and verdict by commands alone; each says its times and what may be lost."""
    datum = court.prepare()
    opened = await court.run("jury", "challenge", datum.hex(), "-o", "json")
    told = json.loads(opened.stdout)
    assert (told["case"], told["bond"]) == (0, BOND)
    assert "locked until the jury has decided, epoch" in opened.stderr
    assert "lost if the jury does not find" in opened.stderr
    (listed,) = await court.ask("jury", "list", who="judge", are_blocks_made=False)
    assert (listed["title"], listed["phase"], listed["seat"]) == ("Noise", "draw", None)
    voted = await court.run("jury", "vote", "0", "junk", "--wait", who="judge")
    assert voted.exit_code == 0, voted.output
    assert "reveal it from epoch" in voted.stderr and "loses 1% of its bond, now 100 VIDYA" in voted.stderr
    revealed = await court.ask("jury", "reveal", "0", "--wait", who="judge")
    judge = encode_address(court.world.ledger.spec.prefix, VALIDATOR.address)
    assert revealed == [{"case": 0, "juror": judge, "is_junk": True}]
    before = court.world.ledger.get_free(ALICE.address)
    decided = await court.ask("jury", "show", "0", "--wait")
    assert (decided["is_junk"], decided["for_junk"], decided["silent"], decided["fines"]) == (True, 1, 0, [])
    assert (decided["forfeited"], decided["winner"], decided["jurors"]) == (BOND, 20 * VIDYA, 5 * VIDYA)
    assert court.world.ledger.get_free(ALICE.address) - before == BOND + decided["winner"]
    assert balances.get_supply(court.world.ledger.state).burned >= decided["burned"] == 25 * VIDYA
    shown = await court.run("jury", "show", "0")
    for text in (
        "verdict",
        "junk",
        "paid to the challenger",
        "20 VIDYA",
        "paid to 1 juror",
        "lost by the sponsors",
    ):
        assert text in shown.stdout


async def test_a_vote_is_made_once_and_found_with_the_key_alone(court: Court, tmp_path: Path) -> None:
    """The same vote again sends nothing, the other one is refused; another folder with the key reveals it."""
    await court.ask("jury", "challenge", court.prepare().hex())
    case = juries.get_case(court.world.ledger.state, 0)
    assert case is not None
    code, said = await court.fail("jury", "vote", "0", "junk", who="judge")
    assert code == "juries.wrong_phase" and "too early to vote" in said and "(in " in said
    court.go_to_epoch(case.drawn_in)
    await court.ask("jury", "vote", "0", "sound", who="judge")
    again = await court.run("jury", "vote", "0", "sound", who="judge")
    assert again.exit_code == 0 and "nothing was sent" in again.stderr
    code, said = await court.fail("jury", "vote", "0", "junk", who="judge")
    assert code == "juries.already_voted" and "you voted sound in case 0" in said
    assert (await court.fail("jury", "reveal", "0", who="judge"))[0] == "juries.wrong_phase"
    assert (await court.ask("jury", "reveal", who="judge")) == []
    court.go_to_epoch(juries.compute_reveals_from(court.world.ledger.state, case))
    assert (await court.fail("jury", "vote", "0", "sound", who="judge"))[0] == "juries.wrong_phase"
    court.add_wallet(tmp_path / "elsewhere")
    (told,) = await court.ask("jury", "reveal", who="judge", home=tmp_path / "elsewhere")
    assert told["is_junk"] is False
    revealed = await court.run("jury", "reveal", "0", who="judge")
    assert revealed.exit_code == 0 and "revealed already" in revealed.stderr
    decided = await court.ask("jury", "show", "0", "--wait")
    assert (decided["is_junk"], decided["against"], decided["forfeited"]) == (False, 1, BOND)


async def test_a_vote_of_another_program_is_named_and_costs_the_silent_juror(court: Court) -> None:
    """Its salt is not this key's: the command says so, and how to reveal it; silence is fined."""
    await court.ask("jury", "challenge", court.prepare().hex())
    case = juries.get_case(court.world.ledger.state, 0)
    assert case is not None
    court.go_to_epoch(case.drawn_in)
    court.world.make_block(court.world.sign(VALIDATOR, CommitVerdict(0, b"c" * 32)))
    court.go_to_epoch(juries.compute_reveals_from(court.world.ledger.state, case))
    code, said = await court.fail("jury", "reveal", "0", who="judge")
    assert code == "juries.foreign_vote" and "reveal-verdict" in said
    warned = await court.run("jury", "reveal", who="judge")
    assert warned.exit_code == 0 and "another program sent it" in warned.stderr
    decided = await court.ask("jury", "show", "0", "--wait")
    assert (decided["is_junk"], decided["silent"], decided["forfeited"]) == (None, 1, 0)
    (fine,) = decided["fines"]
    assert fine["amount"] == 100 * VIDYA


async def test_a_vote_of_another_program_can_be_replaced_while_there_is_time(court: Court) -> None:
    """In the time for votes a lost salt costs nothing: the command votes again, with a warning."""
    await court.ask("jury", "challenge", court.prepare().hex())
    case = juries.get_case(court.world.ledger.state, 0)
    assert case is not None
    court.go_to_epoch(case.drawn_in)
    court.world.make_block(court.world.sign(VALIDATOR, CommitVerdict(0, b"c" * 32)))
    voted = await court.run("jury", "vote", "0", "junk", who="judge")
    assert voted.exit_code == 0 and "it is replaced" in voted.stderr
    (told,) = await court.ask("jury", "reveal", "0", "--wait", who="judge")
    assert told["is_junk"] is True


async def test_who_is_not_drawn_and_what_is_not_open(court: Court) -> None:
    """Each is named, with its code."""
    await court.ask("jury", "challenge", court.prepare().hex())
    code, said = await court.fail("jury", "vote", "0", "junk", "--wait")
    assert code == "juries.not_drawn" and "alice is not in the jury of case 0" in said
    (listed,) = await court.ask("jury", "list", are_blocks_made=False)
    assert listed["seat"] is None and listed["phase"] == "commit"
    shown = await court.run("jury", "show", "0")
    assert "judged by" in shown.stdout and "validators" in shown.stdout and "sponsors" in shown.stdout
    assert (await court.fail("jury", "reveal", "7"))[0] == "juries.no_such_case"
    assert (await court.fail("jury", "show", "7"))[0] == "not_found"


async def test_a_juror_serves_and_retires(court: Court) -> None:
    """Serving says from which era on one can be drawn, and what silence costs; retiring returns all."""
    court.world.make_block(court.world.sign(ALICE, membership.Join()))
    served = await court.run("jury", "serve", "100", "-o", "json")
    assert served.exit_code == 0, served.output
    assert "it can be drawn from era" in served.stderr and "lost if you are drawn and reveal" in served.stderr
    assert json.loads(served.stdout)["bond"] == 100 * VIDYA
    assert (await court.ask("jury", "retire"))["bond"] == 100 * VIDYA
    assert juries.get_juror(court.world.ledger.state, ALICE.address) is None
