"""The transactions of a run: what users do, and stake that moves, so that the validator set changes.

Each account submits in the order of its nonces and waits for its last transaction before the next one; one
that is not final after a while is submitted again at another node, as a wallet would. Whoever submits
remembers what a node called final: that is the promise that the checkers hold the chain to.
"""

from collections.abc import Callable
from random import Random

from chain.modules import balances, offences, staking, validators
from chain.modules.sessions import Settle
from chain.primitives.codec import Record, encode
from chain.primitives.keys import KeyPair
from chain.runtime import build_call
from chain.transaction import Transaction, sign_transaction
from node.ledger.ledger import Ledger
from tests.sim.world.accounts import ValidatorKeys
from tests.sim.world.economy import Economy, Juries

VIDYA = 10**9
LIFETIME_BLOCKS = 40
DUTY_BLOCKS = 4
FEE_MAX = VIDYA // 10
ECONOMY_SHARE = 0.5
JURIES_SHARE = 0.7


def build_duty(ledger: Ledger, key: KeyPair, call: Record) -> bytes:
    """A duty, which has no nonce and pays no fee."""
    valid_until = ledger.height + DUTY_BLOCKS
    calls = (build_call(call),)
    transaction = Transaction(1, ledger.genesis_hash, key.public_key, 0, valid_until, 0, 0, calls)
    return encode(sign_transaction(key, transaction))


def build_transaction(ledger: Ledger, key: KeyPair, *calls: Record) -> bytes:
    """A transaction that could be in the next block, as the node of this ledger sees it."""
    transaction = Transaction(
        version=1,
        genesis_hash=ledger.genesis_hash,
        sender=key.public_key,
        nonce=ledger.get_nonce(key.public_key),
        valid_until=ledger.height + LIFETIME_BLOCKS,
        fee_max=FEE_MAX,
        tip=0,
        calls=tuple(build_call(call) for call in calls),
    )
    return encode(sign_transaction(key, transaction))


class Workload:
    """Draws the next transaction."""

    def __init__(self, random: Random, validators: list[ValidatorKeys], users: list[KeyPair]) -> None:
        self._random = random
        self._validators = validators
        self._users = users
        self._economy = Economy(random, users)
        self._juries = Juries(random, users, [keys.account for keys in validators])

    def draw(self, ledger: Ledger, *, has_stake_moves: bool, has_juries: bool = False) -> bytes:
        """The next transaction, by the state that some node has."""
        if has_juries and self._random.random() < JURIES_SHARE:
            key, call = self._juries.draw(ledger)
            return build_transaction(ledger, key, call)
        sender = self._random.choice(self._users)
        if self._random.random() < ECONOMY_SHARE:
            call = self._economy.draw(ledger, sender)
            build = build_duty if isinstance(call, Settle) else build_transaction
            return build(ledger, sender, call)
        if not has_stake_moves or self._random.random() < 0.3:
            other = self._random.choice(self._users).public_key
            return build_transaction(ledger, sender, balances.Send(other, self._random.randint(1, 1_000)))
        keys = self._random.choice(self._validators)
        return build_transaction(ledger, keys.account, self._draw_stake(ledger, keys))

    def _draw_stake(self, ledger: Ledger, keys: ValidatorKeys) -> Record:
        """A validator bonds or unbonds, leaves, comes back, gets out of jail."""
        who = keys.address
        if staking.get_standing(ledger.state, who).is_jailed:
            return offences.Unjail()
        candidate = validators.queries.get_candidate(ledger.state, who)
        if candidate is None or candidate.is_chilled:
            return validators.sign_candidacy(keys.consensus, ledger.genesis_hash, who, 0)
        bond = staking.get_bond(ledger.state, who)
        moves: list[Callable[[], Record]] = [
            lambda: staking.Bond(self._random.randint(1, 2_000) * VIDYA),
            lambda: staking.calls.Unbond(max(1, bond // self._random.randint(4, 20))),
            lambda: validators.calls.Chill(),
        ]
        return self._random.choices(moves, [5, 4, 1])[0]()
