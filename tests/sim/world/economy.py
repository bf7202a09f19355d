"""What users do with the economy: they join, list data, host it, buy it, settle, close, and lock tokens.

Calls are drawn by the state that some node has, so most succeed; one that fails costs its fee, which is tried
too. Nobody proves the hosted data: users that host are judged, slashed and jailed like any absent host.
When the checkers replay the chain, they hold every block against the supply identity and the invariants of
all modules. `Juries` does the same for challenges, in the runs whose plan has them.
"""

from collections.abc import Callable
from random import Random

from chain.modules import (
    balances,
    catalogue,
    hosting,
    lockers,
    membership,
    sessions,
    staking,
    system,
)
from chain.modules.hosting import RegisterHost, RegisterSubset
from chain.modules.juries.calls import (
    ChallengeDatum,
    CommitVerdict,
    RetireAsJuror,
    RevealVerdict,
    ServeAsJuror,
)
from chain.modules.juries.queries import compute_commitment, compute_reveals_from, get_case, list_seats
from chain.modules.juries.types import CASE_COUNT
from chain.modules.sessions import CloseSession, HostAllotment, OpenSession, Settle, Voucher
from chain.primitives.codec import Record
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash
from node.ledger.ledger import Ledger

VIDYA = 10**9
DATUMS = 3
DATUM_BYTES = 2**26
ALLOTMENT = 2 * VIDYA
LIFETIME_BLOCKS = 60
BOND = 2_000 * VIDYA
"""Enough for all datums of a run."""
SPONSORED = 100 * VIDYA
JUROR_BOND = 100 * VIDYA
VOUCHER_KEY = KeyPair(b"v" * 32)
ECONOMY_EVENTS = (
    "Joined",
    "Listed",
    "HostRegistered",
    "HoldingRegistered",
    "SessionOpened",
    "Settled",
    "SessionClosing",
    "Locked",
)
JURY_EVENTS = (
    "Sponsored",
    "JurorBonded",
    "CaseOpened",
    "JuryDrawn",
    "VerdictCommitted",
    "VerdictRevealed",
    "CaseDecided",
)
ESCROW_EVENTS = ("Paid",)
"""Events that must occur in a series of runs."""


def build_listing(number: int) -> catalogue.ListDatum:
    """One of a few data sets that users list."""
    name = bytes([number]) * 32
    return catalogue.ListDatum(name, name, DATUM_BYTES, f"datum {number}", "test", (), "")


class Economy:
    """Draws the next call of a user."""

    def __init__(self, random: Random, users: list[KeyPair]) -> None:
        self._random = random
        self._users = users
        self._sessions: dict[bytes, list[Hash]] = {}
        self._paid_bytes: dict[Hash, int] = {}

    def draw(self, ledger: Ledger, user: KeyPair) -> Record:
        """First what the user needs for trading (membership, bond, holding), then a random call."""
        state, who = ledger.state, user.public_key
        listing = build_listing(self._random.randrange(DATUMS))
        datum = catalogue.compute_datum_id(listing)
        if not membership.is_member(state, who):
            return membership.Join()
        if catalogue.get_datum(state, datum) is None:
            return listing
        if hosting.get_host(state, who) is None:
            port = 2_000 + self._users.index(user)
            return RegisterHost(who[:8], (f"/ip4/127.0.0.1/tcp/{port}",), 10**6)
        if staking.get_bond(state, who) < BOND:
            return staking.Bond(BOND)
        if hosting.get_holding(state, who, datum) is None:
            return RegisterSubset((datum,), ())
        return self._draw_trade(ledger, user, datum)

    def _draw_trade(self, ledger: Ledger, user: KeyPair, datum: Hash) -> Record:
        known = self._sessions.setdefault(user.public_key, [])
        moves: list[tuple[int, Callable[[], Record]]] = [
            (4, lambda: self._open(ledger, user, datum)),
            (6 if known else 0, lambda: self._settle(ledger, self._random.choice(known))),
            (2 if known else 0, lambda: CloseSession(self._random.choice(known))),
            (2, lambda: lockers.LockTokens(self._random.randint(1, 20) * VIDYA, self._random.randint(1, 4))),
            (1, lambda: lockers.ClaimLock(0)),
            (1, lambda: RegisterSubset((), (datum,))),
            (1, lambda: membership.Leave()),
            (2, lambda: balances.Send(self._random.choice(self._users).public_key, VIDYA)),
        ]
        weights, actions = [weight for weight, _ in moves], [action for _, action in moves]
        return self._random.choices(actions, weights)[0]()

    def _open(self, ledger: Ledger, user: KeyPair, datum: Hash) -> Record:
        """A session with every host that holds the datum next."""
        state, height = ledger.state, ledger.height + 1
        epoch = system.compute_epoch(ledger.get_parameters(), height)
        hosts = hosting.queries.get_hosts_of(state, datum, epoch) or (user.public_key,)
        session = sessions.queries.get_next_session_id(state, ledger.genesis_hash, user.public_key)
        self._sessions[user.public_key].append(session)
        price = sessions.queries.get_parameters(state).price_per_gib
        allotments = tuple(HostAllotment(host, ALLOTMENT) for host in hosts[:4])
        return OpenSession(datum, VOUCHER_KEY.public_key, price, height + LIFETIME_BLOCKS, allotments)

    def _settle(self, ledger: Ledger, session: Hash) -> Record:
        """A voucher for some more bytes; at the end for more than the allotment, which is refused."""
        price = sessions.queries.get_parameters(ledger.state).price_per_gib
        size_bytes = self._paid_bytes.get(session, 0) + self._random.randint(1, 8) * 2**21
        self._paid_bytes[session] = size_bytes
        rows = sessions.queries.list_allotments(ledger.state, session)
        host = self._random.choice(rows)[0] if rows else self._users[0].public_key
        amount = sessions.compute_price(size_bytes, price)
        voucher = Voucher(ledger.genesis_hash, session, host, size_bytes, amount)
        return Settle(sessions.sign_voucher(VOUCHER_KEY, voucher))


class Juries:
    """Draws what sponsors, challengers and jurors do next: a case needs some of each in the right epochs."""

    def __init__(self, random: Random, users: list[KeyPair], validators: list[KeyPair]) -> None:
        self._random = random
        self._users = users
        self._accounts = {key.public_key: key for key in (*users, *validators)}

    def draw(self, ledger: Ledger) -> tuple[KeyPair, Record]:
        """Who signs, and the call: a step in an open case, or what brings a case about."""
        steps = [step for number in self._list_cases(ledger) for step in self._list_steps(ledger, number)]
        return self._random.choice(steps) if steps else self._begin(ledger)

    def _list_cases(self, ledger: Ledger) -> list[int]:
        count = CASE_COUNT.get(ledger.state) or 0
        return [number for number in range(count) if get_case(ledger.state, number) is not None]

    def _list_steps(self, ledger: Ledger, number: int) -> list[tuple[KeyPair, Record]]:
        """The commitments and reveals that are missing now; a few jurors stay silent."""
        case = get_case(ledger.state, number)
        assert case is not None
        epoch = system.compute_epoch(ledger.get_parameters(), ledger.height + 1)
        is_revealing = epoch >= compute_reveals_from(ledger.state, case)
        steps: list[tuple[KeyPair, Record]] = []
        for who, seat in list_seats(ledger.state, number):
            is_junk, salt = who[0] % 3 > 0, who
            if is_revealing and seat.commitment is not None and seat.is_junk is None:
                steps.append((self._accounts[who], RevealVerdict(number, is_junk, salt)))
            elif not is_revealing and seat.commitment is None and who[1] % 8:
                name = compute_commitment(ledger.genesis_hash, number, who, is_junk, salt)
                steps.append((self._accounts[who], CommitVerdict(number, name)))
        return steps

    def _begin(self, ledger: Ledger) -> tuple[KeyPair, Record]:
        user = self._random.choice(self._users)
        listing = build_listing(self._random.randrange(DATUMS))
        datum = catalogue.compute_datum_id(listing)
        moves = (
            catalogue.Sponsor(datum, SPONSORED),
            ChallengeDatum(datum),
            ChallengeDatum(datum),
            ServeAsJuror(JUROR_BOND),
            RetireAsJuror(),
        )
        return user, self._random.choice(moves)
