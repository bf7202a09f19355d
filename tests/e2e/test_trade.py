"""A member buys content of several hosts: the bytes, and every base unit of the money."""

from pathlib import Path

import pytest

from tests.e2e.accounts import Books, Snapshot, compute_price, get_difference
from tests.e2e.harness import Json, Network, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]

HOSTS_MIN = 2
SETTLED_SECONDS_MAX = 180.0
RELEASED_BLOCKS_MAX = 10
"""Two are enough where nothing is lost; a release that was lost is sent again after three."""


def get_session(network: Network, first: int) -> Json:
    (opened,) = network.nodes[0].find_events("sessions.SessionOpened", first)
    return opened.fields


def wait_over(network: Network, session: str, first: int) -> int:
    """Until the session has ended and the epoch of its last settlement is paid; a height after that.

    All hosts are online, so it ends long before the era in which they may settle is over.
    """
    node, epoch_blocks = network.nodes[0], network.get_parameters()["system"]["epoch_blocks"]
    (ended,) = wait_for(
        "the session to end",
        lambda: node.find_events("sessions.SessionEnded", first, session=session),
        SETTLED_SECONDS_MAX,
    )
    (closing,) = node.find_events("sessions.SessionClosing", first, session=session)
    assert ended.height <= closing.height + RELEASED_BLOCKS_MAX
    assert closing.fields["ends_at"] > closing.height + RELEASED_BLOCKS_MAX
    last = -(-ended.height // epoch_blocks) * epoch_blocks
    node.wait_height(last)
    return last


def check_files(source: Path, got: Path) -> None:
    """The folders hold the same files with the same bytes."""
    names = [
        sorted(path.relative_to(top) for path in top.rglob("*") if path.is_file()) for top in (source, got)
    ]
    assert names[0] == names[1] and names[0]
    assert all((source / name).read_bytes() == (got / name).read_bytes() for name in names[0])


def test_every_unit_of_a_download_is_where_the_rules_put_it(network: Network) -> None:
    """Bytes are as published; income, burn, fee pool, match and refund are those recomputed from events."""
    node, datum = network.nodes[0], network.get_largest_datum()
    hosts = [one.account for one in network.nodes]
    alice = network.get_address("alice")
    wait_for("all hosts to serve", lambda: len(node.get(f"datums/{datum['id']}")["hosts"]) == len(hosts), 240)
    before = Snapshot(node, [alice, *hosts])
    got = network.run("get", datum["id"], "--to", "got", "--from", "alice", "-y").data
    check_files(Path(datum["source"]), network.folder / "got")
    session = get_session(network, before.height + 1)
    last = wait_over(network, session["session"], before.height + 1)
    after = Snapshot(node, [alice, *hosts])
    assert after.height >= last
    books = Books(network.get_parameters())
    books.read(node, before.height + 1, after.height)

    served = {one["host"]: one for one in got["hosts"] if one["bytes"]}
    assert len(served) >= HOSTS_MIN and sum(one["bytes"] for one in served.values()) >= datum["bytes"]
    assert books.served == {host: one["bytes"] for host, one in served.items()}
    for host, one in served.items():
        assert one["paid"] == compute_price(one["bytes"], session["price_per_gib"])
        assert 0 <= one["paid"] * 7 // 10 - books.income[host] <= 1
    assert {host for _, host in books.matched} == set(served)
    assert all(amount > 0 for amount in books.matched.values()) and books.hosted > 0

    for account in (alice, *hosts):
        expected = books.free[account], books.withheld[account]
        assert get_difference(before, after, account) == expected, account
    assert after.minted - before.minted == books.minted > 0
    assert after.burned - before.burned == books.burned > 0
    assert after.lockers - before.lockers == books.lockers > 0
    assert after.sessions - before.sessions == books.sessions == 0
    assert after.total - before.total == books.minted - books.burned
    network.check_supply()
