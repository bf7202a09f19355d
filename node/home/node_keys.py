"""The keys of a running node. The account's key is not among them: it stays in the owner's wallet."""

from dataclasses import dataclass

from chain.genesis import ChainSpec
from chain.primitives.addresses import decode_address
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Hash
from node.home.config import NodeConfig
from node.home.home import Home
from node.keys.derivation import KeyRole


@dataclass(frozen=True)
class Keys:
    """The node's own keys, unlocked; `account` is None for an observer."""

    account: Address | None
    consensus: KeyPair
    network_seed: Hash
    duty: KeyPair
    beacon_secret: Hash


def load_keys(home: Home, config: NodeConfig, spec: ChainSpec) -> Keys:
    """Unlocks the key files. Slow by design (Argon2id), so called before the loop starts."""
    account = decode_address(spec.prefix, config.account) if config.account else None
    network_seed = home.load_secret(KeyRole.NETWORK)
    return Keys(
        account=account,
        consensus=home.load_key(KeyRole.CONSENSUS),
        network_seed=network_seed,
        duty=KeyPair(hash_bytes(Domain.NODE_KEY, network_seed)),
        beacon_secret=home.load_secret(KeyRole.BEACON),
    )
