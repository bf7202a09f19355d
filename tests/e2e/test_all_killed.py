"""All validators are killed at once, again and again, under a load of transfers: nothing is lost."""

import os
import random
import signal
import time

import pytest

from chain.primitives.addresses import decode_address
from tests.e2e.audit.observer import observe
from tests.e2e.audit.signatures import Audit
from tests.e2e.harness import Network, wait_for
from tests.e2e.load import Load

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1200)]

KILLS = 3
BLOCKS_BEFORE = (4, 9)
SEED = int(os.environ.get("VIDYA_TEST_SEED", "1"))
SECONDS_MAX = 120.0


def run_load(network: Network, load: Load, until: float, height: int) -> None:
    """Transfers until a block is final and a moment after it has come."""
    deadline = time.monotonic() + SECONDS_MAX
    while network.nodes[0].height < height or time.monotonic() < until:
        assert time.monotonic() < deadline, f"no block {height}"
        load.step()


def kill_all(network: Network) -> None:
    """`kill -9` of all processes, one right after the other."""
    pids = [node.pid for node in network.nodes]
    assert None not in pids
    for pid in pids:
        os.kill(pid or 0, signal.SIGKILL)
    for node, pid in zip(network.nodes, pids, strict=True):
        node.wait_gone(pid or 0)


def test_killing_all_at_once_loses_nothing(network: Network) -> None:
    """Heads never fall back, what was said to be final stays so, no slot is signed twice, sums are right."""
    chance = random.Random(SEED)
    load, audit = Load(network, "alice", "bob", chance), Audit()
    slots = [(0, 0, 0)] * len(network.nodes)
    with observe([node.address for node in network.nodes], network.genesis_hash, audit) as observer:
        for _ in range(KILLS):
            start = network.nodes[0].height + chance.randint(*BLOCKS_BEFORE)
            run_load(network, load, 0, start)
            run_load(network, load, time.monotonic() + chance.random(), start)
            heads = [(node, node.height) for node in network.nodes]
            kill_all(network)
            before, slots = slots, [audit.read_sign_state(node).slot for node in network.nodes]
            assert all(new > old for new, old in zip(slots, before, strict=True))
            for node in network.nodes:
                audit.read_log(node)
            network.up()
            for node, height in heads:
                assert node.height >= max(height, load.top)
                audit.read_log(node)
            load.hand_in_again(chance.choice(network.nodes))
            network.wait_blocks(3)
            network.check_agreement()
    assert observer.heard > 4 * len(network.nodes)
    finish(network, load, audit)


def finish(network: Network, load: Load, audit: Audit) -> None:
    """Everything that was handed in becomes final, once, and every node says the same."""

    def is_over() -> bool:
        load.look(network.nodes[0])
        return load.waiting == 0

    wait_for("every transfer", is_over, SECONDS_MAX)
    assert len(load.final) > 2 * KILLS
    network.wait_height(load.top)
    for tx_id, height in load.final.items():
        found = [node.get(f"transactions/{tx_id}") for node in network.nodes]
        assert [(one["status"], one["height"]) for one in found] == [("final", height)] * len(found)
    network.check_agreement()
    for node in network.nodes:
        audit.read_chain(node)
        network.check_supply(node)
        network.run("doctor", "--home", str(node.home.path))
    assert audit.find_conflicts() == {}
    prefix = network.nodes[0].get("status")["prefix"]
    counts = [audit.count_slots(decode_address(prefix, node.account)) for node in network.nodes]
    assert 4 * min(counts) > 5 * network.nodes[0].height, "the audit has heard too little"
