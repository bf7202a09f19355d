"""Where a light client's trust begins: the chain spec, a block that the user names, or this machine's node.

A network that lives on this machine is used the next day too, when its genesis is older than trust lasts.
Then the node's head is believed, with a warning: on one machine there is nobody else to ask. On any other
network this would let a node with old keys invent a chain, so there a block must be named.
"""

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from chain.genesis import ChainSpec, compute_genesis_hash
from cli.errors import UsageFault
from cli.light.client import LightClient, NodeApi, TrustFile
from cli.nodes.homes import is_local
from cli.terminal.options import Settings

SHOWN_CHARS = 90
HASH_BYTES = 32


def open_light_client(
    settings: Settings,
    spec: ChainSpec,
    api: NodeApi,
    witnesses: Sequence[NodeApi] = (),
    trust: str | None = None,
) -> LightClient:
    """A client with the trust that is kept in the user's home, and in the block HEIGHT:HASH if one is named.

    Raises CliError for another network's node, UsageFault, LightError.
    """
    check_witnesses(api, witnesses)
    file = TrustFile(settings.home / "light", compute_genesis_hash(spec))
    is_own = is_local(spec) and is_on_this_machine(api.url)
    client = LightClient(spec, api, file, witnesses, is_first_use_allowed=is_own)
    client.check_network()
    if trust is not None:
        client.anchor(*parse_anchor(trust))
    return client


def parse_anchor(text: str) -> tuple[int, bytes]:
    """Height and hash out of HEIGHT:HASH; raises UsageFault."""
    height, _, name = text.partition(":")
    hint = "HEIGHT:HASH, as `vidya query block HEIGHT` shows them"
    try:
        number, header_hash = int(height), bytes.fromhex(name)
    except ValueError as error:
        raise UsageFault(f"{text[:SHOWN_CHARS]!r} names no block", hint) from error
    if len(header_hash) != HASH_BYTES or number < 0:
        raise UsageFault(f"{text[:SHOWN_CHARS]!r} names no block", hint)
    return number, header_hash


def check_witnesses(api: NodeApi, witnesses: Sequence[NodeApi]) -> None:
    """Raises UsageFault if a witness is the node itself, or another witness, under whatever name."""
    seen = dict.fromkeys(list_addresses(api.url), api.url)
    for witness in witnesses:
        addresses = list_addresses(witness.url)
        same = next((seen[one] for one in addresses if one in seen), None)
        if same is not None:
            hint = "a witness is a node of somebody else"
            raise UsageFault(f"the witness {witness.url} is the same node as {same}", hint)
        seen |= dict.fromkeys(addresses, witness.url)


def list_addresses(url: str) -> list[tuple[str, int]]:
    """Where the host of a URL is reached; all loopback addresses are one. The name itself if it has none."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return [(host, port)]
    return list(dict.fromkeys((_normalise(str(address[0])), port) for *_, address in found))


def _normalise(address: str) -> str:
    return "loopback" if ip_address(address.partition("%")[0]).is_loopback else address


def is_on_this_machine(url: str) -> bool:
    """Whether the URL leads to a loopback address only."""
    return all(host == "loopback" for host, _ in list_addresses(url))
