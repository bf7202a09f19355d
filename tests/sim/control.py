"""The control: with more than a third of the power villains fork the chain, and the checkers must say so.

The honest validators are cut in two halves. Both halves hear the colluders, who sign for each half what that
half wants. A simulator that finds no fork here would find none anywhere. What was sent must convict those who
forked the chain.
"""

from collections import Counter
from itertools import permutations
from random import Random
from typing import NamedTuple

from chain.errors import ChainError
from chain.primitives.types import Address, Height
from chain.validator_set import compute_total_power
from node.ledger.ledger import Ledger
from p2p.wire.messages import LightBlockReply, LightBlockRequest
from tests.sim.adversary.catalogue import CONTROL
from tests.sim.adversary.colluders import Colluders
from tests.sim.checks import checkers, light_observer
from tests.sim.checks.checkers import Violation
from tests.sim.checks.light_observer import LightObserver
from tests.sim.plan import Plan
from tests.sim.run import Sim
from tests.sim.world.accounts import Times, get_validator_keys
from tests.sim.world.disk import SimDisk
from tests.sim.world.snapshots import SnapshotDisk, answer_snapshot

TRUSTING_MS = 3_600_000
"""The halves of a fork decide far apart in time; that trust expires is tried elsewhere."""
CHAOS_MS = 40_000
"""Rounds enough for every honest proposer to have had its turn."""
CONTROLS = 20
"""How many seeds of it are run."""


class Fork(NamedTuple):
    """What the checkers found."""

    violations: list[Violation]
    height: Height
    guilty: dict[Address, int]
    """Power of those against whom there is evidence for the forked height."""
    total: int
    villains: frozenset[Address]
    light: dict[Address, int]
    """Power of those whom the light client saw sign both blocks of a height."""

    @property
    def is_seen_by_light_client(self) -> bool:
        """Whether the light client has seen the fork, and convicts more than a third, all villains."""
        return self.light.keys() <= self.villains and 3 * sum(self.light.values()) > self.total

    @property
    def is_seen(self) -> bool:
        """Whether the fork was reported, and more than a third of the power, all villains, is convicted."""
        is_reported = any(violation.rule == "agreement" for violation in self.violations)
        are_guilty = self.guilty.keys() <= self.villains and 3 * sum(self.guilty.values()) > self.total
        return is_reported and are_guilty


def draw_sides(random: Random) -> tuple[list[int], list[int], tuple[list[int], list[int]]]:
    """Powers, villains with more than a third of them, and two halves which with those are quorums."""
    while True:
        powers = [random.randint(10, 40) for _ in range(random.choice((4, 5, 7)))]
        numbers = random.sample(range(len(powers)), len(powers))
        colluders_size = random.randint(1, len(powers) - 2)
        colluders, rest = numbers[:colluders_size], numbers[colluders_size:]
        halves = rest[: len(rest) // 2], rest[len(rest) // 2 :]
        shares = [sum(powers[number] for number in group) for group in (colluders, *halves)]
        has_quorums = all(3 * (shares[0] + half) > 2 * sum(powers) for half in shares[1:])
        if 3 * shares[0] > sum(powers) and 3 * shares[0] <= 2 * sum(powers) and has_quorums:
            return powers, colluders, halves


def run_control(seed: int) -> Fork:
    """A run that must fork."""
    random = Random(f"control {seed}")
    powers, members, halves = draw_sides(random)
    colluders = Colluders(random, dict.fromkeys(members, (CONTROL,)))
    sides = {get_validator_keys(number).peer: half for half in (0, 1) for number in halves[half]}
    colluders.split(sides)
    sim = Sim(seed, plan=_build_plan(powers), villains=colluders.processes)
    sim.network.cut((one, other) for one in halves[0] for other in halves[1])
    sim.network.cut((other, one) for one in halves[0] for other in halves[1])
    try:
        sim.run()
    except ChainError:
        # A node to which two blocks of one height are final may stop in any way; the checkers still look.
        sim.check()
    return _judge(sim, sim.violations)


def _build_plan(powers: list[int]) -> Plan:
    return Plan(
        powers=powers,
        topology="lan",
        times=Times(),
        loss_ppm=0,
        duplicate_ppm=0,
        jitter_ms=5,
        chaos_ms=CHAOS_MS,
        kinds=(),
        faults=[],
        skewed={},
        transactions=10,
        has_stake_moves=False,
        heights_after=1,
    )


def _judge(sim: Sim, violations: list[Violation]) -> Fork:
    chains = sim.open_chains()
    height = _find_fork(chains)
    first = max(chains.values(), key=lambda chain: chain.height)
    # Up to the fork all have one chain, so that anybody's replay tells who decided that height.
    members = checkers.replay(sim.spec, first, sim.signatures.verify).sets[height]
    offenders = checkers.find_offenders(
        sim.history, sim.genesis_hash, {height: members}, sim.signatures.verify
    )
    powers = {member.address: member.power for member in members.validators}
    guilty = {who: powers[who] for who in offenders.get(height, {})}
    villains = frozenset(get_validator_keys(number).address for number in sim.villains)
    signers = {who for fork in _follow_both(sim, chains, height) for who in fork.signers}
    light = {who: powers[who] for who in sorted(signers)}
    return Fork(violations, height, guilty, compute_total_power(members), villains, light)


class _DiskSource:
    """Answers a light client out of the chain on a disk: whoever met the fork has stopped its process."""

    is_honest = True

    def __init__(self, number: int, chain: Ledger, disk: SimDisk) -> None:
        self.number = number
        self.height = chain.height
        self._chain = chain
        self._disk = disk

    def get_light_block(self, height: Height) -> LightBlockReply | None:
        """As light_observer.Source."""
        reply = answer_snapshot(self._chain.view, SnapshotDisk(self._disk), LightBlockRequest(height))
        assert isinstance(reply, LightBlockReply)
        return reply


def _follow_both(sim: Sim, chains: checkers.Chains, height: Height) -> list[light_observer.Fork]:
    """What a light client sees that trusts the block before the fork, and asks nodes of both halves."""
    found = []
    sources = [
        _DiskSource(number, chain, sim.machines[number].disk)
        for number, chain in chains.items()
        if chain.height >= height
    ]
    for primary, witness in permutations(sources, 2):
        light = LightObserver(sim.spec, sim.signatures.verify, Counter(), TRUSTING_MS)
        light.trust(primary, height - 1)
        headers = [chains[source.number].get_header(height) for source in (primary, witness)]
        now_ms = max(header.time_ms for header in headers if header is not None)
        light.poll(primary, witness, now_ms, height)
        found += light.forks
    return found


def _find_fork(chains: checkers.Chains) -> Height:
    """The lowest height with two blocks."""
    for height in range(1, max(chain.height for chain in chains.values()) + 1):
        headers = [header for chain in chains.values() if (header := chain.get_header(height)) is not None]
        if any(header != headers[0] for header in headers):
            return height
    raise AssertionError("more than a third of the power could not fork the chain")
