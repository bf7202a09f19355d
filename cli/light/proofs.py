"""Checking a node's answer about the state: values with proofs under the state root of a final header.

What is checked: each proof leads from key and value to the state root of the header that came with them, and
more than two thirds of the roster that this header names signed it. Whether that header is the network's is
asked of `trust`: the light client follows it from the chain spec; without a chain spec nothing can be asked.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from chain.commitment import PROOF_BYTES_MAX, Proof, check_proof
from chain.errors import ChainError, DecodeError
from chain.light import LightBlock, TrustRules, check_light_block
from chain.primitives.codec import decode
from chain.primitives.types import Hash
from cli.light.client import LightClient, describe_header, parse_light_block
from cli.terminal.wording import format_count

Trust = Callable[[LightBlock], str]
"""Raises LightError unless the block is trusted; returns what that trust rests on."""


class ProofFailed(ChainError):
    """The node's answer does not prove what it says."""


class ProvenValues(NamedTuple):
    """Values of a state and the block that proves them. None: there is no value under that key."""

    block: LightBlock
    trusted: str
    values: dict[str, bytes | None]

    def describe(self) -> dict[str, Any]:
        """What was verified, and what is taken on trust."""
        assert self.block.certificate is not None
        signers, members = len(self.block.certificate.signatures), len(self.block.roster.validators)
        return {
            "verified": True,
            **describe_header(self.block.header),
            "signed_by": f"{signers} of {members} validators, more than 2/3 of the power",
            "trusted": self.trusted,
        }


def trust_signatures(genesis_hash: Hash) -> Trust:
    """Without a chain spec: the header is signed by those whom it names itself."""

    def check(block: LightBlock) -> str:
        check_light_block(TrustRules(genesis_hash, 0), block)
        return "that these validators are the network's; --chain FILE checks it"

    return check


def trust_client(client: LightClient) -> Trust:
    """The light client's way from the chain spec, or from what it trusted before."""

    def check(block: LightBlock) -> str:
        root = client.check(block)
        between = f"{format_count(client.downloads, 'header')} in between"
        if root.header.height == 0:
            return f"the chain spec; {between}"
        return f"height {root.header.height}, verified before; {between}"

    return check


def check_answer(answer: Any, keys: dict[str, bytes], trust: Trust) -> ProvenValues:
    """The values under `keys`, proven; raises ChainError, CliError."""
    block = parse_light_block(answer)
    if block.certificate is None:
        raise ProofFailed("there is no certificate for this height; ask again after the next block")
    trusted = trust(block)
    return ProvenValues(block, trusted, check_values(block.header.state_root, answer, keys))


def check_values(state_root: Hash, answer: Any, keys: dict[str, bytes]) -> dict[str, bytes | None]:
    """The values by name; raises ProofFailed, InvalidProof."""
    try:
        entries = {entry["name"]: entry for entry in answer["entries"]}
        if missing := sorted(keys.keys() - entries.keys()):
            raise ProofFailed(f"the answer says nothing of {', '.join(missing)}")
        return {name: _check_entry(state_root, key, entries[name]) for name, key in keys.items()}
    except (DecodeError, KeyError, TypeError, ValueError) as error:
        raise ProofFailed(f"the answer is malformed ({error})") from error


def _check_entry(state_root: Hash, key: bytes, entry: Any) -> bytes | None:
    if bytes.fromhex(entry["key"]) != key:
        raise ProofFailed(f"the answer is about another key than {entry['name']}")
    value = None if entry["value"] is None else bytes.fromhex(entry["value"])
    check_proof(state_root, key, value, decode(Proof, bytes.fromhex(entry["proof"]), PROOF_BYTES_MAX))
    return value
