"""Peer identities and addresses, and their text forms.

A peer id is the multihash of the peer's public key in libp2p's protobuf form. For Ed25519 this is the
key itself behind a fixed prefix (libp2p specs, peer-ids/peer-ids.md, "Ed25519"), so it is computed here
without libp2p. Text form: base58btc. Other key types are refused: this network uses Ed25519 only.
"""

import ipaddress
from dataclasses import dataclass

from chain.primitives.keys import PEER_ID_PREFIX, KeyPair
from chain.primitives.types import HASH_BYTES, PeerId, PublicKey
from p2p.errors import InvalidPeerAddress

ADDRESS_CHARACTERS_MAX = 256
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def compute_peer_id(public_key: PublicKey) -> PeerId:
    """The peer id of an Ed25519 public key."""
    return PEER_ID_PREFIX + public_key


def compute_peer_id_of_seed(seed: bytes) -> PeerId:
    """The peer id that a node started with this network key will have."""
    return compute_peer_id(KeyPair(seed).public_key)


def is_peer_id(peer: bytes) -> bool:
    """Whether the bytes are the identity of an Ed25519 key."""
    return len(peer) == len(PEER_ID_PREFIX) + HASH_BYTES and peer.startswith(PEER_ID_PREFIX)


def format_peer(peer: PeerId) -> str:
    """The peer id in base58btc."""
    number, text = int.from_bytes(peer), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return "1" * (len(peer) - len(peer.lstrip(b"\0"))) + text


def parse_peer(text: str) -> PeerId:
    """The peer id that `text` names; raises InvalidPeerAddress."""
    number = 0
    for character in text[:ADDRESS_CHARACTERS_MAX]:
        digit = _BASE58.find(character)
        if digit < 0:
            raise InvalidPeerAddress(f"{character!r} is not a base58 character")
        number = number * 58 + digit
    peer = number.to_bytes(len(PEER_ID_PREFIX) + HASH_BYTES + ADDRESS_CHARACTERS_MAX).lstrip(b"\0")
    peer = b"\0" * (len(text) - len(text.lstrip("1"))) + peer
    if not is_peer_id(peer) or format_peer(peer) != text:
        raise InvalidPeerAddress(f"{text[:80]!r} is not an Ed25519 peer id")
    return peer


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a peer listens."""

    host: str
    port: int
    peer: PeerId

    def __str__(self) -> str:
        return f"{format_listen_address(self.host, self.port)}/p2p/{format_peer(self.peer)}"


def format_listen_address(host: str, port: int) -> str:
    """The address without the peer id, as in the setting of where to listen."""
    try:
        kind = f"ip{ipaddress.ip_address(host).version}"
    except ValueError:
        kind = "dns"
    return f"/{kind}/{host}/tcp/{port}"


def parse_listen_address(text: str) -> tuple[str, int]:
    """Host and port of /ip4|ip6|dns/<host>/tcp/<port>; raises InvalidPeerAddress."""
    parts = text[:ADDRESS_CHARACTERS_MAX].split("/")
    if len(parts) != 5 or parts[0] or parts[3] != "tcp":
        raise InvalidPeerAddress(f"{text[:80]!r} is not /ip4|ip6|dns/<host>/tcp/<port>")
    _, kind, host, _, port = parts
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidPeerAddress(f"port {port[:20]!r}")
    _check_host(kind, host)
    return host, int(port)


def parse_address(text: str) -> PeerAddress:
    """The address of a peer; raises InvalidPeerAddress."""
    if len(text) > ADDRESS_CHARACTERS_MAX:
        raise InvalidPeerAddress(f"{len(text)} characters")
    place, separator, peer = text.partition("/p2p/")
    if not separator:
        raise InvalidPeerAddress(f"{text[:80]!r} has no /p2p/<peer id>")
    host, port = parse_listen_address(place)
    return PeerAddress(host, port, parse_peer(peer))


def is_unspecified(host: str) -> bool:
    """Whether it stands for every address of a machine: where to listen, and nowhere to dial."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _check_host(kind: str, host: str) -> None:
    if kind in ("dns", "dns4", "dns6"):
        labels = host.replace("-", "").replace("_", "").split(".")
        if not host.isascii() or not all(label.isalnum() for label in labels):
            raise InvalidPeerAddress(f"host name {host[:80]!r}")
        return
    try:
        if kind != f"ip{ipaddress.ip_address(host).version}":
            raise InvalidPeerAddress(f"{host} is not {kind}")
    except ValueError:
        raise InvalidPeerAddress(f"{host[:80]!r} is not an IP address") from None
