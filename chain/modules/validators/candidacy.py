"""Candidacy: a consensus key agrees that an account stands with it.

The key signs account and genesis hash. Without that anybody could stand with the key of another node, which
could then not stand itself, since a key belongs to one account forever. A genesis validator has no such
signature: the genesis hash covers the list of validators, so it is not known when the list is made. There the
operators agree on every key before the network exists.
"""

from chain.primitives.codec import Record
from chain.primitives.hashing import Domain, signing_bytes
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Hash, Ppm, PublicKey, Signature


class Validate(Record):
    """Stand for election with this consensus key; `key_proof` is its signature of the account."""

    consensus_key: PublicKey
    commission_ppm: Ppm
    key_proof: Signature


class KeyUse(Record):
    """What the consensus key signs (domain SIGN_CANDIDACY): the account that stands with it."""

    account: Address


def get_key_proof_bytes(genesis_hash: Hash, account: Address) -> bytes:
    """The bytes that the consensus key signs."""
    return signing_bytes(Domain.SIGN_CANDIDACY, genesis_hash, KeyUse(account))


def sign_candidacy(key: KeyPair, genesis_hash: Hash, account: Address, commission_ppm: Ppm) -> Validate:
    """The call by which an account stands with this consensus key."""
    proof = key.sign(get_key_proof_bytes(genesis_hash, account))
    return Validate(key.public_key, commission_ppm, proof)
