"""One seed, one run: builds the world, runs it, heals it, and calls the checkers."""

import logging
import os
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import NamedTuple

import structlog

from chain.genesis import compute_genesis_hash
from chain.modules import staking
from chain.primitives.types import Address, Hash, Height, PeerId, Round
from consensus.proposers import Proposers
from node.ledger.ledger import Ledger
from node.replica.replica import ConsensusHalted
from node.replica.signing.guard import Phase
from storage import crash_points
from storage.crash_points import CrashPoint
from storage.errors import StorageError
from tests.sim import faults
from tests.sim.adversary.catalogue import DRAWN, LOCK_BREAKERS, STORE_LIARS, SYNC_LIARS
from tests.sim.adversary.colluders import draw_colluders
from tests.sim.checks import checkers, conduct, rare
from tests.sim.checks.checkers import Replay, Violation
from tests.sim.checks.custody import CustodyWatch
from tests.sim.checks.economy import check_economy
from tests.sim.checks.history import History
from tests.sim.checks.light_observer import POLL_MS, LightObserver, check_no_fork
from tests.sim.checks.rare import CoreWatch
from tests.sim.checks.watch import Watch
from tests.sim.copied_key import CopiedKeys, SecondProcess
from tests.sim.plan import COPIED_KEY_SHARE, SYNCING_SHARE, Plan, draw_plan, draw_steered, draw_syncing
from tests.sim.world.accounts import (
    GENESIS_MS,
    ValidatorKeys,
    build_sim_spec,
    get_user_keys,
    get_validator_keys,
)
from tests.sim.world.clocks import SimClock
from tests.sim.world.disk import SimStore
from tests.sim.world.joining import JoiningProcess
from tests.sim.world.machine import Machine
from tests.sim.world.network import Network, build_rtts
from tests.sim.world.process import Process
from tests.sim.world.schedule import Audit, Schedule
from tests.sim.world.signatures import Signatures
from tests.sim.world.workload import Workload

ROUNDS_MAX = 4
"""Until the first block after healing, and for each after it; one more for each that fails for good."""
ALL_DOWN_ROUNDS = 30
"""Where nobody was there to ask which round it is."""
LIVELY_MS = 10_000
"""Beyond those rounds: until the first block after healing."""
CAUGHT_UP_MS = 60_000
"""Beyond that: until the last node has all of it."""
ANCHOR_AGE_BLOCKS = 4
"""An epoch: some snapshot is not older."""

BuildProcess = Callable[[Machine], Process]


class Outcome(NamedTuple):
    """What came of a seed."""

    seed: int
    audit: Hash
    plan: Plan
    heights: int
    rounds: int
    """Of all heights together, the first of each not counted."""
    virtual_ms: int
    events: int
    crashes: int
    faults: Counter[str]
    points: Counter[str]
    rare: Counter[str]
    """States of `checks.rare`."""
    transactions: int
    violations: list[Violation]


class Sim:
    """The world of a seed."""

    def __init__(
        self,
        seed: int,
        *,
        plan: Plan | None = None,
        villains: dict[int, BuildProcess] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.villains = villains or {}
        self.plan = plan or draw_plan(self.random)
        self.schedule = Schedule(Random(self.random.random()))
        self.audit = Audit(self.schedule, tell)
        # A copied key is on one machine more than there are validators.
        count = len(self.plan.powers) + (self.plan.copied_key is not None)
        rtts = build_rtts(self.random, count, self.plan.topology)
        self.network = Network(self.schedule, self.audit, Random(self.random.random()), rtts)
        self.history = History()
        self.rare: Counter[str] = Counter()
        self.core_watch = CoreWatch(self.rare)
        self.signatures = Signatures()
        self.custody = CustodyWatch(self.rare)
        self.watch = Watch(self.signatures.verify, self.custody)
        self.spec = build_sim_spec(self.plan.powers, self.plan.times)
        self.genesis_hash = compute_genesis_hash(self.spec)
        self.light = LightObserver(self.spec, self.signatures.verify, self.rare)
        self.current: Machine | None = None
        self.is_healed = False
        self.healed_round = 0
        self.healed_height = 0
        self.healed_last_round = 0
        self.counts: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self._unaware: list[Address] = []
        self._copied_key = self.plan.copied_key
        copied = [] if self._copied_key is None else [self._copied_key.of]
        self._failing: dict[int, None] = dict.fromkeys([*self.villains, *dict(self.plan.late), *copied])
        self.machines = [self._build_machine(number) for number in range(count)]
        self.network.ends = list(self.machines)
        validators = [machine.keys for machine in self.machines[: len(self.plan.powers)]]
        self._workload = Workload(Random(self.random.random()), validators, get_user_keys())

    def _build_machine(self, number: int) -> Machine:
        clock = SimClock(self.schedule, GENESIS_MS, self.random)
        clock.offset_ms, clock.drift_ppm = self.plan.skewed.get(number, (self.random.randint(-200, 200), 0))
        machine = Machine(self, number, self._get_keys(number), clock, self.villains.get(number, Process))
        machine.joins_by_snapshot = self.plan.snapshots and number in dict(self.plan.late)
        is_maker = number % 2 == 0 or number in self.villains
        machine.makes_snapshots = self.plan.snapshots and is_maker
        return machine

    def _get_keys(self, number: int) -> ValidatorKeys:
        if number < len(self.plan.powers) or self.plan.copied_key is None:
            return get_validator_keys(number)
        return CopiedKeys(number, self.plan.copied_key.of)

    @property
    def _honest_addresses(self) -> list[Address]:
        """Those that must keep all rules: not the key of two processes."""
        return [machine.keys.address for machine in self.honest if not self._has_copied_key(machine)]

    def _has_copied_key(self, machine: Machine) -> bool:
        """Whether two processes have its key."""
        numbers = () if self._copied_key is None else (self._copied_key.of, len(self.plan.powers))
        return machine.number in numbers

    @property
    def honest(self) -> list[Machine]:
        """Those that follow the rules."""
        return [machine for machine in self.machines if machine.number not in self.villains]

    # What machines and faults ask.

    def build_joining(self, machine: Machine) -> JoiningProcess:
        """As RunContext."""
        return JoiningProcess(machine)

    def find_anchor(self) -> tuple[Height, Hash] | None:
        """As RunContext."""
        hashes = {fact.height: fact.block_hash for fact in self.history.finalities}
        height = max(hashes, default=0) - ANCHOR_AGE_BLOCKS
        return (height, hashes[height]) if height in hashes else None

    def find(self, peer: PeerId) -> Machine | None:
        """As RunContext."""
        return next((machine for machine in self.machines if machine.keys.peer == peer), None)

    def on_halted(self, number: int, error: ConsensusHalted) -> None:
        """As RunContext: a violation, since less than a third of the power is faulty."""
        self.violations.append(Violation("halted", f"node {number}: {error}"))
        self.machines[number].process = None

    def may_fail_for_good(self, machine: Machine) -> bool:
        """As FaultContext."""
        powers, failing = self.plan.powers, {*self._failing, machine.number}
        if 3 * sum(powers[number] for number in failing) >= sum(powers):
            return False
        self._failing[machine.number] = None
        return True

    def _on_point(self, point: CrashPoint) -> None:
        self.points[point] += 1
        if self.current is not None:
            self.current.on_point(point)

    # The run.

    def run(self) -> Outcome:
        """Runs until enough heights are final after healing, or a bound is passed."""
        disarm = crash_points.arm(self._on_point)
        try:
            with _drawn_salts(Random(self.random.random())):
                self._prepare()
                self._go_on()
        finally:
            disarm()
        self.check()
        return self._build_outcome()

    def _prepare(self) -> None:
        conditions, plan = self.network.conditions, self.plan
        conditions.loss_ppm, conditions.duplicate_ppm = plan.loss_ppm, plan.duplicate_ppm
        conditions.jitter_ms = plan.jitter_ms
        for machine in self.machines:
            start_ms = dict(self.plan.late).get(machine.number, self.random.randint(0, 400))
            self.schedule.at(start_ms, machine.start)
        for at_ms, kind in plan.faults:
            self.schedule.at(at_ms, lambda kind=kind: self._make(kind))
        for _ in range(plan.transactions):
            self.schedule.at(self.random.randrange(plan.chaos_ms), self._submit)
        self.schedule.at(plan.chaos_ms, self._heal)
        self.schedule.at(POLL_MS, self._poll_light)
        if plan.copied_key is not None:
            SecondProcess(self.schedule, plan.copied_key, self.machines, self.custody)

    def _poll_light(self) -> None:
        """The light client asks two nodes that run."""
        self.schedule.after(POLL_MS, self._poll_light)
        running = [machine.process for machine in self.machines if machine.process is not None]
        sources = [process for process in running if not process.machine.disk.is_damaged]
        if len(sources) > 1:
            # The client keeps to its primary while that runs.
            known = [process for process in sources if process.number == self.light.primary]
            primary = known[0] if known else self.random.choice(sources)
            witness = self.random.choice([process for process in sources if process is not primary])
            self.light.poll(primary, witness, GENESIS_MS + self.schedule.now_ms)
            self.light.check_trusted(self.history)

    def _make(self, kind: str) -> None:
        self.audit.note("-", "fault", kind.encode(), kind)
        self.counts[kind] += 1
        faults.BY_NAME[kind](self)

    def _submit(self) -> None:
        process = self.random.choice(self.machines).process
        if process is not None:
            process.turn("submit", lambda: self._submit_to(process))

    def _submit_to(self, process: Process) -> None:
        plan = self.plan
        data = self._workload.draw(
            process.ledger, has_stake_moves=plan.has_stake_moves, has_juries=plan.has_juries
        )
        refusal = process.pool.submit(data)
        self.audit.note(process.machine.name, "submit", data, str(refusal or "taken"))

    def _heal(self) -> None:
        """All faults end; what stopped starts again."""
        self.audit.note("-", "heal")
        self.is_healed = True
        self.network.heal_all()
        self.network.conditions.heal()
        for machine in self.machines:
            machine.disk.is_full, machine.disk.sync_fails_in, machine.disk.slow_ms = False, 0, 0
            machine.crash_at, machine.crash_at_step = {}, 0
            machine.restart_ms = (200, 1_000)
            machine.clock.set_right()
            self.schedule.after(self.random.randint(0, 1_000), machine.start)
        readable = [machine for machine in self.honest if not machine.disk.is_damaged]
        processes = [machine.process for machine in readable if machine.process is not None]
        self.healed_height = max((fact.height for fact in self.history.finalities), default=0)
        self.healed_round = self._find_round(self.healed_height + 1)
        self.healed_last_round = self._compute_last_round(processes) if processes else ALL_DOWN_ROUNDS

    def _go_on(self) -> None:
        lively_ms = self._compute_lively_ms
        while self.schedule.step():
            if self.schedule.steps % 16 == 0 and self.is_healed and self._is_over(lively_ms()):
                return
            if self.schedule.steps > self.plan.steps_max:
                detail = f"{self.plan.steps_max} events without an end"
                self.violations.append(Violation("runaway", detail))
            if self.violations:
                return

    @property
    def _rounds_max(self) -> int:
        return ROUNDS_MAX + len(self._failing)

    def _find_round(self, height: Height) -> Round:
        """The highest round that an honest validator has signed in at a height."""
        signed = self.history.signed
        honest = frozenset(self._honest_addresses)
        return max((round for who, at, round, _ in signed if at == height and who in honest), default=0)

    def _compute_last_round(self, processes: list[Process]) -> Round:
        """By which round the first height after healing must end: a few after all honest have proposed in it.

        A block that one of them alone is locked on, since nobody else saw its polka in time, can only be
        proposed by that one; others take no valid value out of a round that is over (L36).
        """
        members = max(
            (process.ledger for process in processes), key=lambda chain: chain.height
        ).get_validators()
        proposers, last = Proposers(members), self.healed_round
        waiting = [one.address for one in members.validators if one.address in self._honest_addresses]
        while waiting:
            last += 1
            waiting = [address for address in waiting if address != proposers.get(last)]
        return last + self._rounds_max

    def _compute_lively_ms(self) -> int:
        """By when the first block after healing must be final: rounds are as long as they have become."""
        times = self.plan.times
        rounds = range(self.healed_round, self.healed_last_round)
        rounds_ms = sum(times.propose_ms + 2 * times.vote_ms + 3 * times.delta_ms * round for round in rounds)
        return self.plan.chaos_ms + rounds_ms + LIVELY_MS

    def _is_over(self, lively_ms: int) -> bool:
        needed = [machine for machine in self.honest if not machine.is_retired]
        heights = [machine.process.ledger.height if machine.process else 0 for machine in needed]
        if min(heights) >= self.healed_height + self.plan.heights_after:
            return True
        is_late = self.schedule.now_ms > lively_ms and max(heights) <= self.healed_height
        if is_late or self.schedule.now_ms > lively_ms + CAUGHT_UP_MS:
            detail = f"height {self.healed_height}, round {self.healed_round} at healing; now {heights}"
            self.violations.append(Violation("liveness", detail))
        return bool(self.violations)

    # The end.

    def open_chains(self) -> dict[int, Ledger]:
        """The final chains as they are on the disks of honest machines."""
        chains = {}
        for machine in self.honest:
            try:
                verify = self.signatures.verify
                chains[machine.number] = Ledger(SimStore(machine.disk), self.spec, verify=verify)
            except StorageError as error:
                self.audit.note(machine.name, "unreadable", text=str(error))
        return chains

    def check(self) -> None:
        """Calls all checkers."""
        chains, verify = self.open_chains(), self.signatures.verify
        restored = {m.number: (m.keys.address, m.restored_height) for m in self.honest if m.is_restored}
        self._unaware = checkers.find_unaware(self.history, chains, restored)
        found = checkers.check_agreement(chains, self.history)
        if not found and chains:
            # A node that began at a snapshot has no blocks before it.
            whole = [chain for chain in chains.values() if checkers.get_base(chain) == 1]
            longest = max(whole, key=lambda chain: chain.height)
            replayed = checkers.replay(self.spec, longest, verify)
            found += replayed.violations
            self.rare += rare.count_history(self.history, replayed.sets, self.plan.times.epoch_blocks)
            self.rare += rare.count_events(longest)
            self._count_signed_twice(replayed.final)
            found += self._check_conduct(longest, chains, replayed)
            found += checkers.check_certificates(self.genesis_hash, chains, replayed.sets, verify)
            crashed = self._list_crashed()
            found += checkers.check_evidence_on_chain(
                self.history, replayed.final, self.plan.chaos_ms, crashed
            )
        healed = checkers.Healing(self.healed_height, self.healed_last_round, self._rounds_max)
        found += checkers.check_rounds(self.history, healed)
        found += checkers.check_roots(chains)
        found += checkers.check_signatures(self.history, self._list_aware())
        found += checkers.check_acknowledged(chains, self.history)
        numbers = [machine.number for machine in self.honest]
        found += checkers.check_blames(self.history, numbers, self.plan.skewed)
        self.violations += [*self.watch.violations, *self.custody.violations, *found, *self._check_custody()]
        self.violations += [*self.light.violations, *check_no_fork(self.light.forks)]

    def _check_custody(self) -> list[Violation]:
        """The guard raises no false alarm: one disk and one process may sign, however often it crashed."""
        phases = {
            machine.number: machine.process.replica.policy.guard.phase
            for machine in self.honest
            if not machine.is_restored
            and not self._has_copied_key(machine)
            and machine.number not in dict(self.plan.late)
            and machine.process is not None
            and machine.process.replica.policy.guard is not None
        }
        wrong = {
            number: phase for number, phase in phases.items() if phase in (Phase.WATCHING, Phase.STOPPED)
        }
        return [Violation("custody", f"node {number} is {phase}") for number, phase in wrong.items()]

    def _list_signed_twice(self) -> list[Address]:
        """The key of two processes, if they signed two messages for one slot."""
        keys = [machine.keys.address for machine in self.machines if self._has_copied_key(machine)]
        return [
            slot[0] for slot, messages in self.history.signed.items() if slot[0] in keys and len(messages) > 1
        ]

    def _count_signed_twice(self, final: Ledger) -> None:
        twice = self._list_signed_twice()
        self.rare["slot signed twice by two processes of a key"] += len(twice)
        self.rare["key of two processes slashed"] += any(
            staking.is_tombstoned(final.state, who) for who in twice
        )

    def _list_aware(self) -> list[Address]:
        return [address for address in self._honest_addresses if address not in self._unaware]

    def _list_crashed(self) -> list[int]:
        return [machine.number for machine in self.machines if machine.crashes]

    def _check_conduct(self, chain: Ledger, chains: checkers.Chains, replayed: Replay) -> list[Violation]:
        sets = {**replayed.sets, chain.height + 1: replayed.final.get_validators()}
        villains = [*(get_validator_keys(number).address for number in self.villains), *self._unaware]
        villains += self._list_signed_twice()
        return [
            *conduct.check_votes(self.history, sets, self._list_aware()),
            *conduct.check_seals(chains, sets, self.signatures.verify),
            *conduct.check_headers(chain, sets, self.history, GENESIS_MS),
            *conduct.check_turns(chain, sets),
            *conduct.check_priorities(sets),
            *conduct.check_transactions(chain, self.signatures.verify),
            *self.watch.find_unpunished(replayed.final, self.plan.chaos_ms, self._list_crashed()),
            *conduct.check_punishments(chain, villains),
            *check_economy(chain),
        ]

    def _build_outcome(self) -> Outcome:
        finalities = {fact.height: fact.round for fact in self.history.finalities}
        return Outcome(
            seed=self.seed,
            audit=self.audit.digest(),
            plan=self.plan,
            heights=max(finalities, default=0),
            rounds=sum(finalities.values()),
            virtual_ms=self.schedule.now_ms,
            events=self.schedule.steps,
            crashes=sum(machine.crashes for machine in self.machines),
            faults=self.counts,
            points=self.points,
            rare=self.rare,
            transactions=len(self.history.acknowledged),
            violations=self.violations,
        )


@contextmanager
def _drawn_salts(random: Random) -> Iterator[None]:
    """Replaces the system's randomness, which the log uses for its salt, by the seed's."""
    real, os.urandom = os.urandom, random.randbytes
    try:
        yield
    finally:
        os.urandom = real


def silence() -> None:
    """Turns logs off: they take time, and a trace tells more."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def build_sim(seed: int, tell: Callable[[str], None] | None = None) -> Sim:
    """The world of a seed; half of them may have villains."""
    random = Random(f"villains of {seed}")
    share = Random(f"steered {seed}").random()
    steered = draw_steered(share, random)
    if steered is not None:
        return Sim(seed, plan=steered, tell=tell)
    is_syncing = share < COPIED_KEY_SHARE + SYNCING_SHARE
    if not is_syncing and random.random() < 0.5:
        return Sim(seed, tell=tell)
    plan = draw_syncing(random) if is_syncing else draw_plan(random, is_villainous=True)
    colluders = draw_colluders(random, plan.powers, _get_behaviours(plan), dict(plan.late))
    return Sim(seed, plan=plan, villains=colluders.processes, tell=tell)


def _get_behaviours(plan: Plan) -> tuple[str, ...]:
    """What villains do is aimed at what is rare in the plan."""
    if "long_censor" in plan.kinds:
        return LOCK_BREAKERS
    if plan.snapshots:
        return STORE_LIARS
    return SYNC_LIARS if plan.late else DRAWN


def run_seed(seed: int, tell: Callable[[str], None] | None = None) -> Outcome:
    """A seed of the simulator."""
    return finish(build_sim(seed, tell))


def finish(sim: Sim) -> Outcome:
    """Runs the world of a seed to its end; what a bug raises is a violation."""
    try:
        return sim.run()
    except Exception:
        sim.violations.append(Violation("bug", traceback.format_exc(limit=-3)))
        return sim._build_outcome()
