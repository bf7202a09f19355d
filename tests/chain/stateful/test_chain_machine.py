"""The whole state machine under random use.

Random calls of every module, and purposeful ones that lead deep into bonds, hosting, proofs, sessions and
offences, go into blocks of random proposers, commits and reveals, over many epochs and eras. After each block
the replica that executed it agrees with the one that built it, and every invariant holds; in the end a third
replica replays the chain from genesis.
"""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chain import runtime
from chain.block import Inherents
from chain.errors import InvalidTransaction
from chain.modules import (
    balances,
    beacon,
    catalogue,
    fees,
    hosting,
    juries,
    membership,
    offences,
    possession,
    schedule,
    sessions,
    staking,
    validators,
)
from chain.primitives.codec import Record
from chain.primitives.types import INTEGER_MAX, Address, Amount, Hash
from chain.transaction import SignedTransaction, check_signature
from chain.votes import build_duplicate_vote
from tests.chain.support.chain_rig import VIDYA, Rig, build_contents, build_rig, list_holders
from tests.chain.support.record_strategies import build_strategy

PEOPLE = st.integers(0, 7)
DATUMS = st.integers(0, 3)
TURNS = st.lists(st.integers(0, 5), min_size=1, max_size=9)
SUBSETS = st.sets(PEOPLE)
COINS = st.one_of(st.integers(0, 3), st.integers(1, 300).map(lambda coins: coins * VIDYA))
AMOUNTS = st.one_of(COINS, st.integers(0, INTEGER_MAX))
TIPS = st.sampled_from((0, 0, 1, VIDYA // 1000))
PENDING_MAX = 4
SPECS = [(module, spec) for module in schedule.MODULES for spec in module.calls.values()]
POT = staking.types.POT


class ChainMachine(RuleBasedStateMachine):
    """A rig, and the transactions for its next block."""

    @initialize(is_grown=st.sampled_from((True, True, True, False)))
    def start(self, is_grown: bool) -> None:
        """A chain at genesis, or one whose first hosts prove and whose guests may download."""
        self.rig: Rig = build_rig()
        self.pending: list[SignedTransaction] = []
        self.idle: set[int] = set()
        self.is_evasive = False
        self.chains = dict.fromkeys(self.rig.by_address, 1)
        for content in build_contents(4):
            self.rig.contents[content.datum] = content
        self.datums = list(self.rig.contents)
        addresses = st.sampled_from([*sorted(self.rig.by_address), POT, bytes(32)])
        self.pools = {
            Address: addresses,
            Hash: st.sampled_from([*self.datums, bytes(32)]),
            Amount: AMOUNTS,
        }
        if is_grown:
            self._grow()

    def _grow(self) -> None:
        for sender, datum in enumerate(self.datums):
            self.list_datum(sender, sender)
            self.add(sender + 4, membership.Join())
            self.add(sender, hosting.RegisterSubset((datum,), ()))
        self.advance([*range(12)])

    def add(self, sender: int, *calls: Record, tip: int = 0) -> None:
        """One more transaction of the person for the next block."""
        person = self.rig.people[sender]
        waiting = sum(
            1
            for signed in self.pending
            if signed.transaction.sender == person.address and signed.transaction.fee_max
        )
        nonce = balances.get_account(self.rig.state, person.address).nonce + waiting
        self.pending.append(self.rig.sign(person, *calls, nonce=nonce, tip=tip))

    def add_duty(self, sender: int, call: Record) -> None:
        """One more duty for the next block."""
        self.pending.append(self.rig.sign_duty(self.rig.people[sender], call))

    # Anything.

    @rule(
        sender=PEOPLE,
        choices=st.lists(st.sampled_from(SPECS), min_size=1, max_size=3),
        tip=TIPS,
        data=st.data(),
    )
    def call_anything(self, sender: int, choices: list[Any], tip: int, data: st.DataObject) -> None:
        """Calls of any module with arguments of the right type, one or several at once."""
        calls = [data.draw(build_strategy(spec.kind, self.pools)) for _, spec in choices]
        if len(choices) == 1 and choices[0][1].is_duty:
            self.add_duty(sender, calls[0])
        else:
            self.add(sender, *calls, tip=tip)

    # With purpose.

    @rule(sender=PEOPLE, recipient=PEOPLE, amount=AMOUNTS, tip=TIPS)
    def send(self, sender: int, recipient: int, amount: int, tip: int) -> None:
        """Pay somebody."""
        self.add(sender, balances.Send(self.rig.people[recipient].address, amount), tip=tip)

    @rule(sender=PEOPLE, host=PEOPLE, amount=COINS, is_leaving=st.booleans())
    def move_stake(self, sender: int, host: int, amount: int, is_leaving: bool) -> None:
        """Bond, delegate, and the ways back."""
        address = self.rig.people[host].address
        if sender == host:
            self.add(sender, staking.calls.Unbond(amount) if is_leaving else staking.Bond(amount))
        else:
            self.add(
                sender, (staking.calls.Undelegate if is_leaving else staking.calls.Delegate)(address, amount)
            )

    @rule(sender=PEOPLE, commission=st.integers(0, 30_000))
    def stand(self, sender: int, commission: int) -> None:
        """Bond, host, commit to a beacon chain, and stand for election, in one transaction."""
        person = self.rig.people[sender]
        number = self.chains[person.address]
        self.chains[person.address] = number + 1
        tip = self.rig.learn_chain(person, number)
        register = hosting.RegisterHost(bytes((sender + 1,)), (), 1_000)
        commit = beacon.CommitChain(tip, len(person.compute_links(number)) - 1)
        validate = validators.sign_candidacy(
            person.consensus, self.rig.live.genesis_hash, person.address, commission
        )
        self.add(sender, staking.Bond(50 * VIDYA), register)
        self.add(sender, commit)
        self.add(sender, validate)

    @rule(sender=PEOPLE, datum=DATUMS)
    def list_datum(self, sender: int, datum: int) -> None:
        """Put real content into the catalogue."""
        content = self.rig.contents[self.datums[datum]]
        self.add(
            sender,
            catalogue.ListDatum(
                content.files_hash, content.root, content.size, "a title", "text", ("tag",), ""
            ),
        )

    @rule(sender=PEOPLE, datum=DATUMS, amount=st.integers(1, 3), is_leaving=st.booleans())
    def sponsor(self, sender: int, datum: int, amount: int, is_leaving: bool) -> None:
        """Bond for a datum, or give notice and take the bond back."""
        name = self.datums[datum]
        if is_leaving:
            self.add(sender, catalogue.LeaveSponsorship(name))
            self.add(sender, catalogue.WithdrawSponsorship(name))
        else:
            self.add(sender, catalogue.Sponsor(name, amount * VIDYA))

    @rule(sender=PEOPLE, datum=DATUMS, is_junk=st.booleans())
    def judge(self, sender: int, datum: int, is_junk: bool) -> None:
        """Challenge a datum, and have drawn jurors commit and reveal until the case is decided."""
        self.add(sender, juries.ChallengeDatum(self.datums[datum]))
        genesis_hash, salt = self.rig.live.genesis_hash, bytes(32)
        for call in ("commit", "commit", "reveal", "reveal"):
            self.advance([self.rig.height] * 4)
            for key, _ in juries.types.SEATS.items(self.rig.state):
                case, who = int.from_bytes(key[:8], "big"), key[8:]
                commitment = juries.compute_commitment(genesis_hash, case, who, is_junk, salt)
                committing = juries.CommitVerdict(case, commitment)
                revealing = juries.RevealVerdict(case, is_junk, salt)
                self.add(self.rig.by_address[who].number, committing if call == "commit" else revealing)

    @rule(sender=PEOPLE, amount=st.integers(90, 200), is_leaving=st.booleans())
    def serve(self, sender: int, amount: int, is_leaving: bool) -> None:
        """Bond as a juror, or retire."""
        self.add(sender, juries.RetireAsJuror() if is_leaving else juries.ServeAsJuror(amount * VIDYA))

    @rule(sender=PEOPLE, datums=st.sets(DATUMS, min_size=1), is_dropping=st.booleans())
    def change_subset(self, sender: int, datums: set[int], is_dropping: bool) -> None:
        """Begin or end to host."""
        named = tuple(self.datums[number] for number in sorted(datums))
        subset = hosting.RegisterSubset((), named) if is_dropping else hosting.RegisterSubset(named, ())
        self.add(sender, hosting.RegisterHost(bytes((sender + 1,)), (), 1_000))
        self.add(sender, subset)

    @rule(sender=PEOPLE, datum=DATUMS, deposit=COINS, lifetime=st.integers(1, 12))
    def open_session(self, sender: int, datum: int, deposit: int, lifetime: int) -> None:
        """Join if need be, and open a session with all who hold the datum."""
        person, name = self.rig.people[sender], self.datums[datum]
        if not membership.is_member(self.rig.state, person.address):
            self.add(sender, membership.Join())
        allotments = tuple(sessions.HostAllotment(host, deposit) for host in list_holders(self.rig, name))
        price = sessions.get_parameters(self.rig.state).price_per_gib
        expires_at = self.rig.height + lifetime
        key = person.voucher.public_key
        self.add(sender, sessions.OpenSession(name, key, price, expires_at, allotments))

    @rule(sender=PEOPLE, share_ppm=st.integers(0, 1_100_000))
    def settle(self, sender: int, share_ppm: int) -> None:
        """Bring a voucher of every session for that share of what is allotted."""
        for session_id, session in sessions.types.SESSIONS.items(self.rig.state):
            payer = self.rig.by_address[session.payer]
            for host, allotment in sessions.queries.list_allotments(self.rig.state, session_id):
                size = allotment.limit * share_ppm // 10**6 * 2**30 // session.price_per_gib
                size = min(size, sessions.vouchers.VOUCHER_BYTES_MAX)
                price = sessions.compute_price(size, session.price_per_gib)
                genesis_hash = self.rig.live.genesis_hash
                voucher = sessions.Voucher(genesis_hash, session_id, host, size, price)
                self.add_duty(sender, sessions.Settle(sessions.sign_voucher(payer.voucher, voucher)))

    def download(self, sender: int, datum: int, share_ppm: int) -> None:
        """A session from its opening to a first settlement."""
        self.open_session(sender, datum, 100 * VIDYA, 12)
        self.advance([self.rig.height])
        self.settle(sender, share_ppm)

    @rule(sender=PEOPLE)
    def leave_delegations(self, sender: int) -> None:
        """Take back all that the person has delegated."""
        address = self.rig.people[sender].address
        for host in sorted(self.rig.by_address):
            pool, shares = (
                staking.get_pool(self.rig.state, host),
                staking.ledger.get_shares(self.rig.state, address, host),
            )
            if shares:
                self.add(sender, staking.calls.Undelegate(host, staking.ledger.compute_value(pool, shares)))

    @rule()
    def close_sessions(self) -> None:
        """Every payer wants no more."""
        for session_id, session in sessions.types.SESSIONS.items(self.rig.state):
            self.add(self.rig.by_address[session.payer].number, sessions.CloseSession(session_id))

    @rule(sender=PEOPLE)
    def release(self, sender: int) -> None:
        """A host claims nothing more in the sessions that have ended."""
        host = self.rig.people[sender].address
        for session_id, _ in sessions.list_releasable(self.rig.state, host, self.rig.height + 1):
            self.add_duty(sender, sessions.Release(host, (), (session_id,)))

    @rule(sender=PEOPLE, datum=DATUMS)
    def demand(self, sender: int, datum: int) -> None:
        """Ask every holder of a datum to show it."""
        name = self.datums[datum]
        for host in list_holders(self.rig, name):
            self.add(sender, possession.calls.Challenge(host, name))

    @rule(sender=PEOPLE, datum=DATUMS)
    def mend(self, sender: int, datum: int) -> None:
        """Own up to a loss, leave jail, and get back what has unlocked."""
        self.add(sender, offences.DeclareLoss(self.datums[datum]))
        self.add(sender, offences.Unjail())
        self.add(sender, staking.calls.Withdraw())
        self.add(sender, membership.Leave())
        self.add(sender, membership.WithdrawLock())

    @rule(reporter=PEOPLE, turn=PEOPLE)
    def equivocate(self, reporter: int, turn: int) -> None:
        """A validator of the head signs another block too, and somebody tells."""
        members = validators.get_previous(self.rig.state).validators
        if self.rig.height == 0 or len(members) < 4:
            return
        who = members[turn % len(members)].address
        pair = self.rig.sign_precommit(who), self.rig.sign_precommit(who, b"x" * 32)
        self.add_duty(reporter, offences.Report(build_duplicate_vote(*pair)))

    # Time.

    @invariant()
    def include(self) -> None:
        """What has gathered goes into a block."""
        if len(self.pending) >= PENDING_MAX:
            self.advance([self.rig.height])

    @rule(turns=TURNS, absent=SUBSETS, is_revealing=st.sampled_from((True, True, True, False)))
    def pass_time(self, turns: list[int], absent: set[int], is_revealing: bool) -> None:
        """Time goes by, with some who do not sign, and now and then a proposer who does not reveal."""
        self.advance(turns, absent, is_revealing=is_revealing)

    @rule(idle=SUBSETS, is_evasive=st.booleans())
    def neglect(self, idle: set[int], is_evasive: bool) -> None:
        """From now on these hosts do not prove, or the others do not what is demanded; epochs go by."""
        self.idle, self.is_evasive = idle, is_evasive
        self.advance([*range(8)])

    def advance(
        self, turns: Iterable[int], absent: AbstractSet[int] = frozenset(), *, is_revealing: bool = True
    ) -> None:
        """Blocks by the validators whose turn it is; hosts prove in them unless they are idle."""
        provers = [person for person in self.rig.people if person.number not in self.idle]
        signers = [person.address for person in self.rig.people if person.number not in absent]
        for turn in turns:
            proofs = self.rig.build_proofs(provers, is_evasive=self.is_evasive)
            candidates, self.pending = [*self.pending, *proofs], []
            self._check_each(candidates)
            result, _ = self.rig.build(candidates, turn=turn, signers=signers, is_revealing=is_revealing)
            self.rig.commit(result)
            schedule.check_invariants(self.rig.state)
            is_revealing = True

    def _check_each(self, candidates: list[SignedTransaction]) -> None:
        """One after the other as a block would: what is refused leaves no more than fee, tip and nonce."""
        rig = self.rig
        proposer = validators.get_current(rig.state).validators[0].address
        head = rig.live.head
        run = runtime.start_block(
            rig.state, rig.live.genesis_hash, rig.height + 1, head.time_ms + 1_000, proposer
        )
        runtime.process_block_start(run, Inherents(rig.get_reveal(proposer), rig.certify()))
        for signed in candidates:
            before = dict(run.ctx.state.changes)
            try:
                runtime.process_transaction(run, signed, check_signature)
            except InvalidTransaction:
                assert run.ctx.state.changes == before
                continue
            receipt = run.receipts[-1]
            if receipt.error is not None:
                sender = signed.transaction.sender
                assert receipt.events == ()
                assert receipt.fee == receipt.weight * fees.get_base_fee(rig.state)
                changed = {key for key, value in run.ctx.state.changes.items() if before.get(key) != value}
                assert changed <= {
                    balances.ACCOUNTS.key(sender),
                    balances.ACCOUNTS.key(proposer),
                    balances.SUPPLY.key,
                    fees.WEIGHT_USED.key,
                }

    def teardown(self) -> None:
        """Replayed from genesis, the chain leads to the same state."""
        if not hasattr(self, "rig"):
            return
        replica = self.rig.replay()
        assert replica.head == self.rig.live.head
        assert list(replica.state.scan(b"")) == list(self.rig.state.scan(b""))


TestChainMachine = ChainMachine.TestCase
"""Short runs of anything, which Hypothesis shrinks when they fail."""
TestChainMachine.settings = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


WALK_STEPS = 250


@pytest.mark.parametrize("seed", range(3))
def test_long_walks_keep_every_invariant(seed: int) -> None:
    """Long runs, in which each kind of action is as likely at each step, hold what short ones hold."""
    chance, machine = Random(seed), ChainMachine()
    machine.start(is_grown=True)
    for _ in range(WALK_STEPS):
        take_step(machine, chance)
        machine.include()
    machine.teardown()


def take_step(machine: ChainMachine, chance: Random) -> None:
    """One action with a purpose, by chance."""
    who, other, datum = chance.randrange(8), chance.randrange(8), chance.randrange(4)
    coins = chance.choice((1, chance.randrange(1, 200) * VIDYA))
    steps: tuple[Callable[[], object], ...] = (
        lambda: machine.send(who, other, coins, chance.randrange(9)),
        lambda: machine.move_stake(who, who, coins, chance.random() < 0.5),
        lambda: machine.move_stake(who, other % 4, coins, chance.random() < 0.5),
        lambda: machine.add(who, staking.calls.Withdraw()),
        lambda: machine.add(who, validators.calls.SetCommission(chance.randrange(20_000))),
        lambda: machine.stand(who, chance.randrange(20_000)),
        lambda: machine.list_datum(who, datum),
        lambda: machine.add(who, catalogue.Delist(machine.datums[datum])),
        lambda: machine.sponsor(who, datum, 1, chance.random() < 0.3),
        lambda: machine.serve(who, 150, chance.random() < 0.3),
        lambda: machine.judge(who, datum, chance.random() < 0.5),
        lambda: machine.change_subset(who, {datum, other % 4}, chance.random() < 0.3),
        lambda: machine.open_session(who, datum, coins, chance.randrange(1, 13)),
        lambda: machine.settle(who, chance.randrange(1_100_000)),
        lambda: machine.download(who, datum, chance.randrange(1_000_000)),
        lambda: machine.add(who, balances.Burn(coins)),
        lambda: machine.add(who, balances.LeaveMemo("x" * chance.randrange(257))),
        lambda: machine.leave_delegations(who),
        machine.close_sessions,
        lambda: machine.demand(who, datum),
        lambda: machine.mend(who, datum),
        lambda: machine.add(who, validators.calls.Chill()),
        lambda: machine.pass_time(range(chance.randrange(1, 9)), {other}, chance.random() < 0.9),
        lambda: machine.neglect(set(chance.sample(range(8), chance.randrange(3))), chance.random() < 0.5),
    )
    chance.choice(steps)()
    if chance.random() < 0.02:
        machine.equivocate(who, other)
