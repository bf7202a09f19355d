"""Checking a node's answer here: header, certificate, validator set, proof of a value.

What is checked: the proof leads from key and value to the state root of a header; more than two thirds of the
power of a validator set signed that header's hash; the header names that set. What is trusted: that this set
is the network's. With the chain spec at hand that is checked too, as long as validators of genesis still
hold enough of the power: then more than two thirds of the power of genesis must have signed.
"""

from typing import Any, NamedTuple

from chain.block import Header, compute_header_hash
from chain.commitment import PROOF_BYTES_MAX, Proof, check_proof
from chain.errors import ChainError
from chain.genesis import ChainSpec, compute_genesis_hash
from chain.primitives.codec import decode
from chain.primitives.types import Address, Amount, Hash, PublicKey
from chain.validator_set import Roster, ValidatorSet, build_validator_set, compute_roster_hash, is_quorum
from chain.votes import CommitCertificate, check_certificate


class ProofFailed(ChainError):
    """The node's answer does not prove what it says."""


class Proven(NamedTuple):
    """Values of a state, and what vouches for them. A value of None: there is none under that key."""

    height: int
    header_hash: Hash
    state_root: Hash
    signers: int
    validators: int
    genesis_share: tuple[int, int] | None
    values: dict[str, bytes | None]

    def describe(self) -> dict[str, Any]:
        """What was verified, and what is taken on trust."""
        trusted = "that the validator set is the network's; --chain FILE checks it"
        if self.genesis_share is not None:
            signed, total = self.genesis_share
            trusted = f"the chain spec; {signed} of {total} power units of its validators signed"
        return {
            "verified": True,
            "height": self.height,
            "header": self.header_hash.hex(),
            "state_root": self.state_root.hex(),
            "signed_by": f"{self.signers} of {self.validators} validators, more than 2/3 of the power",
            "trusted": trusted,
        }


def check_answer(
    genesis_hash: Hash, answer: dict[str, Any], keys: dict[str, bytes], spec: ChainSpec | None
) -> Proven:
    """The values under `keys`, proven; raises ProofFailed, InvalidProof, InvalidCertificate, DecodeError."""
    if answer["certificate"] is None or answer["roster"] is None:
        raise ProofFailed("there is no certificate for this height; ask again after the next block")
    header = decode(Header, bytes.fromhex(answer["header"]))
    certificate = decode(CommitCertificate, bytes.fromhex(answer["certificate"]))
    roster = decode(Roster, bytes.fromhex(answer["roster"]))
    members = check_final(genesis_hash, header, certificate, roster)
    share = None if spec is None else check_descent(spec, certificate, members)
    values = {
        entry["name"]: check_entry(header.state_root, keys[entry["name"]], entry)
        for entry in answer["entries"]
    }
    if missing := sorted(keys.keys() - values.keys()):
        raise ProofFailed(f"the answer says nothing of {', '.join(missing)}")
    return Proven(
        height=header.height,
        header_hash=compute_header_hash(header),
        state_root=header.state_root,
        signers=len(certificate.signatures),
        validators=len(members.validators),
        genesis_share=share,
        values=values,
    )


def check_final(
    genesis_hash: Hash, header: Header, certificate: CommitCertificate, roster: Roster
) -> ValidatorSet:
    """Who decided it; raises unless more than 2/3 of the roster that the header names signed the header."""
    if compute_roster_hash(roster) != header.validators_hash:
        raise ProofFailed("the validator set is not the one that the header names")
    if (certificate.height, certificate.block_hash) != (header.height, compute_header_hash(header)):
        raise ProofFailed("the certificate is for another block")
    members = build_validator_set(roster.validators)
    check_certificate(genesis_hash, members, certificate)
    return members


def check_descent(spec: ChainSpec, certificate: CommitCertificate, members: ValidatorSet) -> tuple[int, int]:
    """(power of genesis that signed, all of it); raises ProofFailed unless that is more than two thirds.

    A validator counts if it is in genesis, still signs with the key it had there, and signed this.
    """
    powers = list_genesis_powers(spec)
    keys = {member.address: member.consensus_key for member in members.validators}
    signed = sum(powers.get((part.validator, keys[part.validator]), 0) for part in certificate.signatures)
    total = sum(powers.values())
    if not is_quorum(signed, total):
        raise ProofFailed(
            f"validators of genesis with {signed} of {total} power signed: too few to vouch for it"
        )
    return signed, total


def list_genesis_powers(spec: ChainSpec) -> dict[tuple[Address, PublicKey], Amount]:
    """Who decided the first block: (account, key) -> power."""
    bonds = dict(spec.staking.bonds)
    unit = spec.validators.parameters.power_unit
    return {(who, key): bonds.get(who, 0) // unit for who, key, _ in spec.validators.validators}


def check_entry(state_root: Hash, key: bytes, entry: dict[str, Any]) -> bytes | None:
    """The value of one key; raises ProofFailed, InvalidProof."""
    if bytes.fromhex(entry["key"]) != key:
        raise ProofFailed(f"the answer is about another key than {entry['name']}")
    value = None if entry["value"] is None else bytes.fromhex(entry["value"])
    check_proof(state_root, key, value, decode(Proof, bytes.fromhex(entry["proof"]), PROOF_BYTES_MAX))
    return value


def check_chain(spec: ChainSpec | None, genesis_hash: Hash) -> None:
    """Raises ProofFailed if the node is of another network than the chain spec."""
    if spec is not None and compute_genesis_hash(spec) != genesis_hash:
        raise ProofFailed("the node is of another network than the chain spec")
