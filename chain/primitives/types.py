"""The scalar types of the protocol, each with the bound that the codec enforces on decoding.

Amounts are base units (1 VIDYA = 10^9). Every integer fits in 63 bits, so that sums of two never leave
the range a signed 64-bit reader can hold, and msgpack never needs its last bit.
"""

from typing import Annotated

from msgspec import Meta

INTEGER_MAX = 2**63 - 1
PPM = 1_000_000
HASH_BYTES = 32
SIGNATURE_BYTES = 64

Uint = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Amount = Uint
Height = Uint
Epoch = Uint
Era = Uint
Nonce = Uint
Weight = Uint
TimeMs = Uint
Round = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Uint8 = Annotated[int, Meta(ge=0, le=2**8 - 1)]
Uint32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Ppm = Annotated[int, Meta(ge=0, le=2**32 - 1)]

Hash = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
PublicKey = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
"""An Ed25519 public key (RFC 8032)."""
Address = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES, title="address")]
"""An account: its Ed25519 public key. `jsonable` writes types with this title in bech32m."""
Signature = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
PeerId = Annotated[bytes, Meta(min_length=1, max_length=64)]
"""A libp2p peer identity (multihash bytes); opaque to the chain."""

NO_HASH = bytes(HASH_BYTES)
