"""The life of two listed datums on real nodes, by commands alone: one earns, the other is found to be junk.

The devnet has as many unpaid eras as a public network, but short ones. Jurors are people with a bond, and the
beacon draws them. What is seen is printed (`pytest -s`).
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from chain.primitives.fixed_point import mul_div
from tests.e2e.harness import Json, Network, open_network, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]

UNPAID_ERAS = 7
ERA_EPOCHS = 2
DATUM_BYTES = 4 * 2**20
JURORS = ("alice", "treasury", "node0", "node2")
JURY_SIZE = 3
COMMIT_EPOCHS, REVEAL_EPOCHS = 8, 6
"""Of 6 seconds: four commands vote, two reveal, on a machine that may be busy."""
CHANGES = (
    f"catalogue.unpaid_eras={UNPAID_ERAS}",
    f"system.era_epochs={ERA_EPOCHS}",
    f"sessions.settle_blocks={ERA_EPOCHS * 20}",
    f"juries.jury_size={JURY_SIZE}",
    f"juries.jurors_min={len(JURORS)}",
    "juries.juror_eras=1",
    f"juries.commit_epochs={COMMIT_EPOCHS}",
    f"juries.reveal_epochs={REVEAL_EPOCHS}",
    "lockers.vesting_eras=40",
)
STEP_SECONDS_MAX = 240.0
PPB = 10**9


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Three validators with eras of a few seconds."""
    changes = [word for change in CHANGES for word in ("--set", change)]
    folder = tmp_path_factory.mktemp("admission")
    with open_network(folder, "--validators", "3", "--block-ms", "300", *changes) as opened:
        yield opened


class Entry(NamedTuple):
    """A listed datum, and the node that lists and hosts it."""

    datum: str
    title: str
    lister: str


def publish(network: Network, number: int, title: str, content: bytes) -> Entry:
    """A folder with one file, listed and hosted by a node."""
    folder, node = network.folder / f"published{number}", network.nodes[number]
    folder.mkdir()
    (folder / "file.bin").write_bytes(content)
    options = ("--home", str(node.home.path), "--from", node.name, "-y", "--title", title)
    told = network.run("publish", str(folder), *options).data
    return Entry(told["datum"], title, node.name)


def get_datum(network: Network, entry: Entry) -> Json:
    return network.nodes[0].get(f"datums/{entry.datum}")


def get_free(network: Network, name: str) -> int:
    return int(network.nodes[0].get(f"accounts/{network.get_address(name)}")["balance"])


def sponsor(network: Network, entry: Entry, names: tuple[str, str]) -> int:
    """Two people bond in halves what is asked; returns the bond of both."""
    asked = get_datum(network, entry)["required"]
    for part, name in enumerate(names):
        amount = asked // 2 if part == 0 else asked - asked // 2
        network.run("tx", "sponsor", entry.datum, f"{amount // PPB}.{amount % PPB:09}", "--from", name, "-y")
    found = get_datum(network, entry)
    assert {one["sponsor"] for one in found["sponsorships"]} == {network.get_address(name) for name in names}
    return int(found["datum"]["sponsored"])


def list_pay(network: Network, entry: Entry, first: int) -> list[tuple[int, int]]:
    """(epoch, base units): what the datum's host was paid for it, in each epoch that weighed it."""
    host = network.get_address(entry.lister)
    events = network.nodes[0].find_events("rewards.HostingRewarded", first, host=host)
    return [
        (one.fields["epoch"], mul_div(one.fields["amount"], part["weight"], one.fields["weight"]))
        for one in events
        for part in one.fields["factors"]
        if part["datum"] == entry.datum and one.fields["weight"]
    ]


def get_epoch(network: Network, height: int) -> int:
    return (height - 1) // int(network.get_parameters()["system"]["epoch_blocks"])


def serve(network: Network, name: str) -> None:
    """Joins if need be, and locks a juror's bond."""
    joined = network.try_run("tx", "join-collective", "--from", name, "-y")
    assert joined.exit == 0 or joined.code == "membership.already_member"
    network.run("jury", "serve", "200", "--from", name, "-y")


def show(text: str) -> None:
    print(f"admission: {text}")


def test_one_datum_earns_after_seven_eras_and_another_is_judged(network: Network) -> None:
    """Seven unpaid eras, sponsors, pay; a challenge, a drawn jury, its votes, and the end of the pay."""
    noise = random.Random(7).randbytes(DATUM_BYTES)
    good = publish(network, 0, "A dictionary of tides", bytes(DATUM_BYTES // 2) + noise[: DATUM_BYTES // 2])
    junk = publish(network, 1, "Noise", noise)
    first = network.nodes[0].height
    bonds = sponsor(network, good, ("alice", "carol")), sponsor(network, junk, ("carol", "dave"))
    for name in JURORS:
        serve(network, name)
    lock = make_lock(network)
    check_unpaid_eras(network, (good, junk), first)
    for entry, bond in zip((good, junk), bonds, strict=True):
        show(f"{entry.title!r}: sponsored with {bond} by two, pay {list_pay(network, entry, first)[:3]}...")
    judge(network, good, junk, bonds[1], first)
    check_lock(network, lock)
    network.check_supply()
    network.check_agreement()


def check_unpaid_eras(network: Network, entries: tuple[Entry, ...], first: int) -> None:
    """Both are hosted and proven all the time, and are paid from the first era after the unpaid ones on."""
    node = network.nodes[0]
    earns_from = max(get_datum(network, one)["datum"]["earns_from"] for one in entries)
    listed_in = min(get_datum(network, one)["datum"]["listed_at"] for one in entries)
    assert earns_from >= get_epoch(network, listed_in) // ERA_EPOCHS + 1 + UNPAID_ERAS
    paid_epoch = earns_from * ERA_EPOCHS
    blocks = int(network.get_parameters()["system"]["epoch_blocks"])
    node.wait_height((paid_epoch + 2 * ERA_EPOCHS) * blocks)
    for entry in entries:
        assert get_datum(network, entry)["is_admitted"]
        admitted = node.find_events("catalogue.Admitted", first, datum=entry.datum)
        assert len(admitted) == 1
        epochs = [epoch for epoch, amount in list_pay(network, entry, first) if amount]
        own_first = get_datum(network, entry)["datum"]["earns_from"] * ERA_EPOCHS
        assert epochs and min(epochs) >= own_first
        show(f"{entry.title!r}: unpaid until epoch {own_first}, paid from epoch {min(epochs)}")


def judge(network: Network, good: Entry, junk: Entry, bond: int, first: int) -> None:
    """Bob challenges; two of the drawn vote and reveal, the third is silent."""
    node = network.nodes[0]
    opened = network.run("jury", "challenge", junk.datum, "--from", "bob", "-y")
    assert "lost if the jury does not find" in opened.stderr
    case = str(opened.data["case"])
    assert opened.data["bond"] == min(bond, 100 * PPB)
    drawn = wait_for(
        "the jury", lambda: node.find_events("juries.JuryDrawn", first, case=int(case)), STEP_SECONDS_MAX
    )[0].fields
    names = {network.get_address(name): name for name in JURORS}
    assert not drawn["are_validators"] and len(drawn["jurors"]) == JURY_SIZE
    voting = [names[address] for address in drawn["jurors"]]
    silent = voting.pop()
    burned = network.check_supply()["burned_by"]["juries"]
    withheld = node.get(f"accounts/{network.get_address(junk.lister)}")["withheld"]
    for name in voting:
        network.run("jury", "vote", case, "junk", "--from", name, "-y")
    refused = network.try_run("jury", "vote", case, "sound", "--from", voting[0], "-y")
    assert refused.code == "juries.already_voted"
    (left,) = [name for name in JURORS if name not in (*voting, silent)]
    assert network.try_run("jury", "vote", case, "junk", "--from", left, "-y").code == "juries.not_drawn"
    network.run("jury", "reveal", case, "--wait", "--from", voting[0], "-y")
    before = {name: get_free(network, name) for name in (*voting, silent, "bob", "carol", "dave")}
    (told,) = network.run("jury", "reveal", "--from", voting[1], "-y").data
    assert told["is_junk"] is True
    decided = network.run("jury", "show", case, "--wait").data
    check_verdict(network, decided, before, voting)
    lost = decided["burned"] + sum(one["amount"] for one in (*decided["fines"], *decided["withheld_burned"]))
    why = network.run("query", "supply", "--why").data["burned_by"]["juries"]
    assert why - burned == lost
    show(f"challenge {opened.data['bond']}, sponsors lost {decided['forfeited']}")
    show(f"of it to the challenger {decided['winner']}, to jurors {decided['jurors']}")
    show(f"burned {decided['burned']}; silent {silent} lost {decided['fines']}")
    show(f"of {withheld} withheld of {junk.lister}: {decided['withheld_burned']}; burned for juries {lost}")
    check_pay_after(network, good, junk, decided["decided_in"], first)


def check_verdict(network: Network, decided: Json, before: dict[str, int], voting: list[str]) -> None:
    """Each of the winners got what the verdict says, to the base unit; the withheld pay was burned."""
    assert (decided["is_junk"], decided["for_junk"], decided["silent"]) == (True, 2, 1)
    forfeited = decided["forfeited"]
    assert decided["winner"] == forfeited * 4 // 10
    assert forfeited == decided["winner"] + decided["jurors"] + decided["burned"]
    each = forfeited // 10 // 2
    assert get_free(network, voting[0]) - before[voting[0]] >= each == decided["jurors"] // 2
    challenge = min(forfeited, 100 * PPB)
    assert get_free(network, "bob") - before["bob"] == challenge + decided["winner"]
    (fine,) = decided["fines"]
    assert fine["amount"] == 200 * PPB // 100
    assert sum(one["amount"] for one in decided["withheld_burned"]) > 0


def check_pay_after(network: Network, good: Entry, junk: Entry, decided_in: int, first: int) -> None:
    """From the epoch of the verdict on, the junk earns nothing; the other datum goes on."""
    blocks = int(network.get_parameters()["system"]["epoch_blocks"])
    network.nodes[0].wait_height((decided_in + 2) * blocks)
    assert max(epoch for epoch, amount in list_pay(network, junk, first) if amount) < decided_in
    assert max(epoch for epoch, amount in list_pay(network, good, first) if amount) >= decided_in
    found = get_datum(network, junk)
    assert found["datum"]["is_junk"] and not found["is_admitted"] and found["sponsorships"] == []
    assert get_datum(network, good)["is_admitted"]


def make_lock(network: Network) -> Json:
    """Dave locks 500 for four weeks; a week is an era here."""
    made: Json = network.run("lock", "make", "500", "--weeks", "4", "--from", "dave", "-y").data
    return made


def check_lock(network: Network, made: Json) -> None:
    """The lock is claimed, extended and left early; forfeits go back to the fund, to the base unit."""
    number, node = str(made["number"]), network.nodes[0]
    claimed = network.run("lock", "claim", number, "--from", "dave", "-y").data
    assert 0 < claimed["amount"] < claimed["accrued"]
    extended = network.run("lock", "extend", number, "--weeks", "8", "--from", "dave", "-y").data
    assert extended["weeks"] == 8 and extended["ends_era"] > made["ends_era"]
    first, before = node.height, get_free(network, "dave")
    left = network.run("lock", "leave", number, "--from", "dave", "-y").data
    (event,) = node.find_events("lockers.LockLeft", first, number=made["number"])
    (block,) = [node.get_block(event.height)]
    fee = sum(
        one["receipt"]["fee"] for one in block["transactions"] if one["sender"] == network.get_address("dave")
    )
    assert get_free(network, "dave") - before == left["amount"] + left["paid"] - fee
    assert left["amount"] == 500 * PPB and left["forfeited"] > 0
    payments = [one.fields["amount"] for one in node.find_events("lockers.LockersPaid", 1)]
    rounded = node.get("lockers")["accrued"]
    assert claimed["amount"] + left["paid"] + left["forfeited"] + rounded == sum(payments)
    assert rounded <= len(payments), "what rounding left of each payment stays in the pot"
    assert node.get(f"lockers/{network.get_address('dave')}")["locks"] == []
    show(f"lock: claimed {claimed['amount']}, paid {left['paid']} on leaving, forfeited {left['forfeited']}")
