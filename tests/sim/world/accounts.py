"""The validators and users of a run, and its chain spec: periods are short, so that eras end within a run."""

from functools import cache, cached_property
from random import Random
from typing import NamedTuple

from chain.genesis import ChainSpec
from chain.modules import beacon
from chain.primitives.codec import replace
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Hash, PeerId
from chain.spec_builder import GenesisValidator, build_spec
from node.duties.reveals import compute_chain_secret
from node.home.profiles import load_profile
from tests.sim.world.economy import DATUMS, build_listing

VIDYA = 10**9
GENESIS_MS = 1_767_225_600_000
BEACON_LINKS = 256
USERS = 3
UNBONDING_BLOCKS = 16


class ValidatorKeys:
    """A validator and all its keys, by number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def _seed(self, role: int) -> bytes:
        return bytes((role, self.number)) * 16

    @cached_property
    def account(self) -> KeyPair:
        """The account's key."""
        return KeyPair(self._seed(1))

    @cached_property
    def consensus(self) -> KeyPair:
        """The key that votes."""
        return KeyPair(self.consensus_seed)

    @property
    def consensus_seed(self) -> bytes:
        """What the consensus key comes from, for a villain that signs with nonces of its own."""
        return self._seed(2)

    @cached_property
    def duty(self) -> KeyPair:
        """The key that sends duties."""
        return KeyPair(self._seed(4))

    @property
    def beacon_secret(self) -> Hash:
        """The secret of its beacon chain."""
        return self._seed(5)

    @cached_property
    def beacon_tip(self) -> Hash:
        """The tip of its beacon chain, committed to at genesis."""
        return beacon.compute_chain(compute_chain_secret(self.beacon_secret, 0), BEACON_LINKS)

    @property
    def address(self) -> Address:
        """The account."""
        return self.account.public_key

    @cached_property
    def peer(self) -> PeerId:
        """A name on the network; no handshake is simulated, so any unique one will do."""
        return b"\x00\x24\x08\x01\x12\x20" + hash_bytes(Domain.NODE_KEY, self._seed(3))


@cache
def get_validator_keys(number: int) -> ValidatorKeys:
    """The keys of a validator, made once per process: making keys takes time."""
    return ValidatorKeys(number)


@cache
def get_user_keys() -> list[KeyPair]:
    """The accounts of users."""
    return [KeyPair(bytes((9, number)) * 16) for number in range(USERS)]


class Times(NamedTuple):
    """The periods of a run's chain."""

    block_ms: int = 1_000
    propose_ms: int = 1_500
    vote_ms: int = 700
    delta_ms: int = 400
    epoch_blocks: int = 4


def draw_powers(random: Random, count: int) -> list[int]:
    """Unequal powers of which nobody has a third, so that any one may fail."""
    while True:
        powers = [random.choice((10, 10, 20, 30, random.randint(10, 40))) for _ in range(count)]
        if 3 * max(powers) < sum(powers):
            return powers


def build_sim_spec(powers: list[int], times: Times) -> ChainSpec:
    """Validators 0.. with these powers in thousands of VIDYA, and three users with money."""
    validators = [get_validator_keys(number) for number in range(len(powers))]
    bonds = [power * 1_000 * VIDYA for power in powers]
    seats = [_build_seat(keys, bond) for keys, bond in zip(validators, bonds, strict=True)]
    accounts = [(seat.account, 2 * seat.bond) for seat in seats]
    accounts += [(user.public_key, 20_000 * VIDYA) for user in get_user_keys()]
    users = [user.public_key for user in get_user_keys()]
    return build_spec(
        _build_profile(times),
        name="sim",
        time_ms=GENESIS_MS,
        seats=seats,
        accounts=accounts,
        # One user has yet to join, and one datum to be listed.
        members=users[:-1],
        listings=[(users[0], build_listing(number)) for number in range(DATUMS - 1)],
    )


def _build_seat(keys: ValidatorKeys, bond: int) -> GenesisValidator:
    address = f"/ip4/127.0.0.1/tcp/{1024 + keys.number}"
    links = BEACON_LINKS
    key, peer = keys.consensus.public_key, keys.peer
    return GenesisValidator(keys.address, key, bond, 0, keys.beacon_tip, links, peer, (address,))


@cache
def _build_profile(times: Times) -> ChainSpec:
    profile = load_profile("minimal")
    parameters = replace(
        profile.system.parameters,
        block_ms=times.block_ms,
        block_transactions_max=40,
        epoch_blocks=times.epoch_blocks,
        era_epochs=1,
        evidence_age_blocks=12,
        evidence_age_ms=12 * times.block_ms,
        propose_timeout_ms=times.propose_ms,
        propose_timeout_delta_ms=times.delta_ms,
        vote_timeout_ms=times.vote_ms,
        vote_timeout_delta_ms=times.delta_ms,
    )
    unbonding_eras = UNBONDING_BLOCKS // times.epoch_blocks
    staking = replace(profile.staking.parameters, unbonding_eras=unbonding_eras)
    possession = replace(
        profile.possession.parameters, deadline_blocks=times.epoch_blocks // 2, sale_pause_blocks=0
    )
    return replace(
        profile,
        system=replace(profile.system, parameters=parameters),
        staking=replace(profile.staking, parameters=staking),
        possession=replace(profile.possession, parameters=possession),
    )
