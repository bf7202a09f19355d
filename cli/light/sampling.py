"""Fetching what `chain.light_sampling` checks: state values with proofs, transactions with theirs, headers.

State is read through `ProvenState`: the chain's own code computes what was asked of a host, and whatever key
it reads is fetched and proven when it is read. Values may come from several heads of one epoch, since seed,
rows and roots are the same throughout it; when the epoch is over, the sample begins again.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from chain.block import Header
from chain.errors import DecodeError
from chain.light import ForgedHeader
from chain.light_sampling import (
    DRAWS,
    Draw,
    NotShown,
    check_hosts,
    check_shown,
    draw,
    has_missed,
)
from chain.list_tree import ListProof
from chain.modules import possession, system
from chain.primitives.addresses import decode_address, encode_address
from chain.primitives.codec import decode
from chain.primitives.errors import InvalidAddress
from chain.primitives.types import Address, Epoch, Hash
from chain.transaction import decode_transaction
from cli.errors import CliError
from cli.exits import ExitCode
from cli.light.client import LightClient, NodeApi
from cli.light.proofs import check_answer, trust_client

HOSTS_MAX = 100_000
PROOF_BYTES_MAX = 8 * 2**10
SHARES = (1, 5, 10, 25)
"""Percent, for which it is said how likely it is that so many missing proofs went unnoticed."""

T = TypeVar("T")


class EpochOver(Exception):
    """The head is in another epoch than the sample."""


class ProvenState:
    """The state of an epoch; each value that is read was proven here."""

    def __init__(self, api: NodeApi, client: LightClient, accept: Callable[[Header], None]) -> None:
        self._api, self._accept = api, accept
        self._trust = trust_client(client)
        self._values: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`; raises ChainError, CliError, EpochOver."""
        if key not in self._values:
            self.fetch([key])
        return self._values[key]

    def fetch(self, keys: list[bytes]) -> Header:
        """Asks for several values at once; the header under whose root they are."""
        named = {key.hex(): key for key in keys}
        answer = self._api.get("/v1/proof", key=list(named))
        proven = check_answer(answer, named, self._trust)
        self._accept(proven.block.header)
        self._values |= {named[name]: value for name, value in proven.values.items()}
        return proven.block.header

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Never: that there is nothing more under a prefix cannot be proven."""
        raise AssertionError(f"a scan of {prefix.hex()} in a state of single values")


class Sampler:
    """One epoch's sample over one node."""

    def __init__(self, api: NodeApi, client: LightClient, epoch: Epoch) -> None:
        self._api, self._client, self._epoch = api, client, epoch
        self._prefix = client.spec.prefix
        self._periods = client.spec.system.parameters
        self.state = ProvenState(api, client, self._check_epoch)

    def _check_epoch(self, header: Header) -> None:
        if system.compute_epoch(self._periods, header.height) != self._epoch:
            raise EpochOver

    def run(self, entropy: Hash, count: int = DRAWS) -> dict[str, Any]:
        """The outcome of each draw; raises EpochOver, CliError, ChainError."""
        hosts = self._list_hosts()
        check_hosts(self.state, self._epoch, hosts)
        leaves = possession.get_parameters(self.state).leaves_per_epoch
        drawn = draw(entropy, self._epoch, hosts, leaves, count)
        outcomes = [self._look(one) for one in drawn]
        return {"epoch": self._epoch, "hosts": len(hosts), "draws": outcomes}

    def _list_hosts(self) -> list[Address]:
        hosts: list[Address] = []
        cursor: str | None = ""
        while cursor is not None and len(hosts) <= HOSTS_MAX:
            page = self._api.get("/v1/possession", **({"after": cursor} if cursor else {}))
            try:
                if int(page["epoch"]) != self._epoch:
                    raise EpochOver
                hosts += [decode_address(self._prefix, str(text)) for text in page["hosts"]]
                cursor = page["next"]
                if not page["hosts"]:
                    break
            except (InvalidAddress, KeyError, TypeError, ValueError) as error:
                raise NotShown(f"the node answers something else than hosts ({error})") from error
        return hosts

    def _look(self, one: Draw) -> dict[str, Any]:
        told = {"host": encode_address(self._prefix, one.host), "leaf": one.leaf}
        if has_missed(self.state, one.host):
            return {**told, "outcome": "missed", "reason": "the chain says so itself"}
        try:
            height = self._check(one)
        except (NotShown, ForgedHeader) as error:
            return {**told, "outcome": "not_shown", "reason": str(error)}
        except CliError as error:
            if error.exit is not ExitCode.NOT_FOUND:
                raise
            return {**told, "outcome": "not_shown", "reason": f"the node says: {error.message}"}
        return {**told, "outcome": "shown", "height": height}

    def _check(self, one: Draw) -> int:
        """The height at which the leaf was shown; raises NotShown, CliError, LightError."""
        who = encode_address(self._prefix, one.host)
        answer = self._api.get(f"/v1/possession/{self._epoch}/{who}")
        try:
            height = int(answer["height"])
            signed = decode_transaction(bytes.fromhex(answer["transaction"]))
            inclusion = decode(ListProof, bytes.fromhex(answer["proof"]), PROOF_BYTES_MAX)
        except (DecodeError, KeyError, TypeError, ValueError) as error:
            raise NotShown(f"the node answers something else than a proof ({error})") from error
        header, _ = self._client.reach(height)
        check_shown(self.state, self._epoch, one, header, signed, inclusion)
        return height


def find_epoch(api: NodeApi, client: LightClient) -> Epoch | None:
    """The epoch of the head, if it has been judged; else None."""
    heads: list[Header] = []
    state = ProvenState(api, client, heads.append)
    judgement = possession.get_judgement(state)
    epoch = system.compute_epoch(client.spec.system.parameters, heads[-1].height)
    return epoch if judgement is not None and judgement.epoch == epoch else None


def describe_chances(draws: int) -> dict[str, str]:
    """How likely it is that a share of all leaves owed is missing, and none of them was drawn."""
    return {f"{share} %": f"{100 * (1 - share / 100) ** draws:.2g} %" for share in SHARES}
