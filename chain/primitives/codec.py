"""The one canonical encoding: msgpack arrays, fields in declared order, shortest form.

A record is a frozen `Record`; its bytes are a msgpack array of its fields. There are no maps, floats,
negative numbers, strings as keys or extension types. `decode` is strict by type and by the bounds in
`types`, then encodes again and compares, so a record has exactly one accepted encoding. A union is an
array that starts with its member's number: give each member `tag=<int>`. A record with `dict=True` may have
cached properties; they are no part of its value.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast, dataclass_transform

import msgspec

from chain.primitives.errors import DecodeError

RECORD_BYTES_MAX = 64 * 2**20
"""Upper bound for any record of the protocol; callers pass a tighter one."""

T = TypeVar("T")


if TYPE_CHECKING:

    @dataclass_transform(frozen_default=True)
    class Record:
        """Base of everything that is encoded: immutable, compared by value, an array on the wire."""

        def __init_subclass__(cls, tag: int | None = None, dict: bool = False) -> None: ...  # noqa: A002 - msgspec names it so
else:

    class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
        """Base of everything that is encoded: immutable, compared by value, an array on the wire."""


R = TypeVar("R", bound=Record)


def replace(record: R, **changes: object) -> R:
    """A copy of the record with some fields changed."""
    return cast(R, msgspec.structs.replace(cast(Any, record), **changes))


_encoder = msgspec.msgpack.Encoder()


def _build_decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


_decoder: Callable[[Any], msgspec.msgpack.Decoder[Any]] = cache(_build_decoder)


def encode(value: object) -> bytes:
    """The canonical bytes of a record, tuple, integer, bytes, text, bool or None."""
    return _encoder.encode(value)


def decode(kind: type[T], data: bytes, bytes_max: int = RECORD_BYTES_MAX) -> T:
    """The record of type `kind` whose canonical encoding is `data`.

    Raises DecodeError for anything else: too long, malformed, out of bounds, not the shortest form.
    """
    if len(data) > bytes_max:
        raise DecodeError(f"{len(data)} bytes, at most {bytes_max} allowed")
    try:
        value: T = _decoder(kind).decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DecodeError(str(error)) from error
    if _encoder.encode(value) != data:
        raise DecodeError("not the canonical encoding")
    return value


def decode_trusted(kind: type[T], data: bytes) -> T:
    """Decode a record that this program encoded and stored under a checksum, without encoding it again."""
    value: T = _decoder(kind).decode(data)
    return value


def check_bounds(value: T) -> T:
    """The record, after the checks of types and bounds that `decode` makes; raises DecodeError.

    For records that were built from user input rather than decoded.
    """
    try:
        return decode(type(value), encode(value))
    except (OverflowError, TypeError) as error:
        raise DecodeError(str(error)) from error
