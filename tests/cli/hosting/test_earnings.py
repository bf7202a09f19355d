"""`vidya host explain` and `vidya host forecast`: what a node answers, and what the screens make of it."""

from pathlib import Path
from typing import Any

import pytest

from chain.jsonable import to_json
from chain.modules import rewards
from cli.context.network import NetworkContext
from cli.context.readable import Reader
from cli.screens.earnings import build_pay, build_sums, compute_datum_pay, sum_events, tell_admission
from cli.terminal.cells import format_cell
from cli.terminal.options import build_settings
from node.home.profiles import load_profile
from tests.chain.support.market_worlds import HOSTS, build_hosted
from tests.cli.lockers.scene import open_scene
from tests.cli.screens.screens import Recorded
from tests.node.api.test_api_reads import DATUM
from tests.node.api.world import ALICE
from tests.node.cluster import VIDYA


def build_network() -> NetworkContext:
    """The devnet profile; of the node only the position is asked."""
    answers: dict[str, Any] = {"/v1/status": {"height": 45}, "/v1/datums": {"datums": []}}
    network = NetworkContext(build_settings({"home": "/nonexistent"}), Recorded(answers))
    network.__dict__["spec"] = load_profile("devnet")
    return network


def explain_world(is_proven: bool) -> dict[str, Any]:
    """The answer of the API about a host of a world in which all hosts hold data."""
    world, _, _ = build_hosted()
    if is_proven:
        world.prove(HOSTS)
    told = rewards.explain_host(world.state, HOSTS[0], 4, world.epoch_end_ms())
    return {
        "address": "vdev1host",
        "epoch": 4,
        "last_block": 50,
        **to_json(told, "vdev"),
        "proven_eras": 1,
        "withheld_ppm": 750_000,
        "withheld": 3 * VIDYA,
        "grants": [
            {"era": 0, "amount": 3, "next_release": 1, "next_release_era": 2, "last_release_era": 4},
        ],
    }


def test_the_parts_of_each_datum_add_up_to_the_pay() -> None:
    """What each datum pays, added, is the host's pay, less a unit of rounding per datum."""
    hosting = explain_world(is_proven=True)["hosting"]
    parts = [compute_datum_pay(hosting, one) for one in hosting["factors"]]
    assert len(parts) == 2 and min(parts) > 0
    assert 0 <= hosting["amount"] - sum(parts) < len(parts)


def test_the_screen_names_amount_weight_and_every_factor() -> None:
    """Pay in tokens with the share of the pool; a row per datum with its factors; what is withheld."""
    network = build_network()
    found = explain_world(is_proven=True)
    told = build_pay(network, Reader(network, {}), found)
    assert told["hosting"].startswith(network.amount(found["hosting"]["amount"]))
    assert "weighted GiB, of a pool of " in told["hosting"] and told["uploads"].startswith("nothing: no sale")
    rare = told["data"][0]
    assert format_cell(rare["scarcity"]) == "1.25" and rare["copies"] == 1 and rare["sharers"] == 1
    assert told["withheld now"] == "3 VIDYA" and "75%" in told["withheld of new pay"]
    (grant,) = told["withheld by era"]
    assert format_cell(grant["next part"]) == "0.000000001 VIDYA"


def test_an_epoch_that_is_not_proven_yet_says_so() -> None:
    """Without the proof nothing is paid, and the screen says why."""
    network = build_network()
    found = explain_world(is_proven=False)
    assert found["hosting"]["amount"] == 0
    told = build_pay(network, Reader(network, {}), found)
    assert told["hosting"].startswith("nothing yet: the proof of this epoch is missing")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"is_admitted": True}, "yes"),
        ({"is_junk": True}, "no: a jury found it junk"),
        ({"is_due": False}, "no: waits for era 7 and sponsors of 4 VIDYA more"),
        ({"sponsored": 10 * VIDYA, "is_due": False}, "no: waits for era 7"),
        ({"sponsored": 10 * VIDYA}, "no: waits for the end of the epoch"),
    ],
)
def test_a_datum_that_earns_nothing_says_what_it_waits_for(changes: dict[str, Any], told: str) -> None:
    """Time, sponsors, both, or a verdict that ended it."""
    entry = {"is_admitted": False, "is_junk": False, "is_due": True, "earns_from": 7}
    entry |= {"sponsored": 6 * VIDYA, "required": 10 * VIDYA}
    assert tell_admission(build_network(), entry | changes) == told


def test_an_era_is_summed_by_the_events_of_its_epochs() -> None:
    """What the events pay one account, by pool, with what was withheld and released; others do not count."""
    events = [
        {"name": "rewards.HostingRewarded", "fields": {"host": "me", "amount": 5}},
        {"name": "rewards.HostingRewarded", "fields": {"host": "other", "amount": 50}},
        {"name": "rewards.UploadRewarded", "fields": {"host": "me", "amount": 7}},
        {"name": "rewards.ValidatorRewarded", "fields": {"validator": "me", "amount": 11}},
        {"name": "escrow.Paid", "fields": {"account": "me", "amount": 5, "withheld": 3}},
        {"name": "escrow.Paid", "fields": {"account": "me", "amount": 11, "withheld": 8}},
        {"name": "escrow.Released", "fields": {"account": "me", "amount": 2}},
        {"name": "possession.Judged", "fields": {"epoch": 1}},
    ]
    sums = sum_events(events, "me")
    assert sums == {"hosting": 5, "uploads": 7, "validating": 11, "withheld": 11, "released": 2}
    row = build_sums(build_network(), {"epoch": 4, **sums})
    assert row["epoch"] == 4 and format_cell(row["withheld"]) == "0.000000011 VIDYA"


@pytest.mark.network
async def test_both_verbs_answer_over_a_real_node(tmp_path: Path) -> None:
    """The validator of the node is explained; what a GiB brings splits into withheld and free."""
    async with open_scene(tmp_path) as scene:
        scene.world.make_block(scene.world.sign(ALICE, DATUM))
        for _ in range(12):
            scene.world.make_block()
        told = await scene.ask("host", "explain", are_blocks_made=False)
        assert told["validator"]["amount"] > 0 and told["hosting"] is None and told["epoch"] == 1
        assert sum(one["amount"] for one in told["grants"]) == told["withheld"]
        shown = await scene.run("host", "explain", are_blocks_made=False)
        assert shown.exit_code == 0 and "blocks signed" in shown.stdout
        era = await scene.ask("host", "explain", "--era", "0", are_blocks_made=False)
        assert [one["epoch"] for one in era] == [0] and era[0]["validating"] > 0
        first = [grant["amount"] for grant in told["grants"] if grant["era"] == 0]
        assert first == [era[0]["withheld"]]
        (past,) = [one for one in await scene.ask("host", "earnings") if one["era"] == 0]
        assert past["validating"] == era[0]["validating"] and past["withheld"] == era[0]["withheld"]
        assert past["free_in_era"] == told["grants"][0]["last_release_era"] + 1
        shown = await scene.run("host", "earnings")
        assert shown.exit_code == 0 and "ALL FREE IN" in shown.stdout and "VIDYA" in shown.stdout
        rows = await scene.ask("host", "forecast", are_blocks_made=False)
        (row,) = rows
        assert row["title"] == DATUM.title and row["withheld_per_gib"] <= row["pay_per_gib"]
        shown = await scene.run("host", "forecast", are_blocks_made=False)
        assert shown.exit_code == 0 and "pledged per GiB: " in shown.stderr
        assert DATUM.title in shown.stdout
