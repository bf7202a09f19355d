"""Records as JSON objects and back, for chain specs, the API and the CLI.

Fields keep their names; accounts are bech32m with the network's prefix, other bytes hex, members of a
union carry a `kind`. Lists stay lists. `from_json` accepts exactly what `to_json` writes; its errors name
the place.
"""

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from chain.primitives.addresses import decode_address, encode_address
from chain.primitives.codec import check_bounds
from chain.primitives.errors import DecodeError, InvalidAddress

T = TypeVar("T")
Json = Any


def to_json(value: object, prefix: str) -> Json:
    """The JSON form of a record; `prefix` is the network's address prefix."""
    return _to_json(value, type(value), prefix)


def from_json(kind: type[T], data: Json, prefix: str) -> T:
    """The record of type `kind` in JSON form; raises DecodeError, whose message names the place."""
    value: T = _from_json(kind, data, prefix, kind.__name__)
    return check_bounds(value)


@cache
def get_fields(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    """(name, annotated type, whether it is optional) of each field of a record, in order."""
    hints = get_type_hints(kind, include_extras=True)
    struct_fields = msgspec.structs.fields(kind)
    return tuple((field.name, hints[field.name], not field.required) for field in struct_fields)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _is_address(kind: Any) -> bool:
    return get_origin(kind) is Annotated and any(
        getattr(meta, "title", None) == "address" for meta in kind.__metadata__
    )


def _strip(kind: Any) -> Any:
    """The type under `Annotated`."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _members(kind: Any) -> tuple[Any, ...]:
    """The members of a union apart from None; the type itself if it is no union."""
    if get_origin(kind) in (Union, UnionType):
        return tuple(member for member in get_args(kind) if member is not NoneType)
    return (kind,)


def _to_json(value: object, kind: Any, prefix: str) -> Json:
    if value is None or isinstance(value, bool | int | str):
        return value
    members = _members(_strip(kind))
    if isinstance(value, bytes):
        return encode_address(prefix, value) if any(map(_is_address, (kind, *members))) else value.hex()
    if isinstance(value, tuple):
        return [
            _to_json(item, item_kind, prefix)
            for item, item_kind in zip(value, _items(kind, len(value)), strict=True)
        ]
    actual: Any = type(value)
    assert _is_record(actual), actual
    named = {"kind": actual.__name__} if len(members) > 1 else {}
    fields = get_fields(actual)
    return named | {name: _to_json(getattr(value, name), field, prefix) for name, field, _ in fields}


def _items(kind: Any, count: int) -> tuple[Any, ...]:
    """The types of the items of a tuple with `count` items."""
    tuples = [member for member in map(_strip, _members(_strip(kind))) if get_origin(member) is tuple]
    arguments = get_args(tuples[0]) if tuples else (Any, ...)
    return (arguments[0],) * count if arguments[1:] == (...,) else arguments


def _from_json(kind: Any, data: Json, prefix: str, where: str) -> Any:
    return _check(kind, _read(kind, data, prefix, where), where)


def _check(kind: Any, value: Any, where: str) -> Any:
    """The value, checked against the type and bounds of `kind`; raises DecodeError."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        raise DecodeError(f"{where}: {error}") from error


def _read(kind: Any, data: Json, prefix: str, where: str) -> Any:
    if data is None and NoneType in get_args(_strip(kind)):
        return None
    member, data = _choose(_members(_strip(kind)), data, where)
    inner = _strip(member)
    if _is_record(inner):
        return _read_record(inner, data, prefix, where)
    if get_origin(inner) is tuple:
        return _read_tuple(inner, data, prefix, where)
    if inner is bytes:
        return _read_bytes(_is_address(kind) or _is_address(member), data, prefix, where)
    return _read_scalar(data, where)


def _choose(members: tuple[Any, ...], data: Json, where: str) -> tuple[Any, Json]:
    """The member of a union that `data` names, and `data` without the name."""
    if len(members) == 1:
        return members[0], data
    named = data.get("kind") if isinstance(data, dict) else None
    for member in members:
        if member.__name__ == named:
            return member, {name: value for name, value in data.items() if name != "kind"}
    raise DecodeError(f"{where}: kind must be one of {', '.join(one.__name__ for one in members)}")


def _read_record(kind: Any, data: Json, prefix: str, where: str) -> Any:
    fields = get_fields(kind)
    if not isinstance(data, dict):
        raise DecodeError(f"{where}: expected an object")
    known = [name for name, _, _ in fields]
    for name in data:
        if name not in known:
            raise DecodeError(f"{where}: unknown field {name!r}")
    values = {}
    for name, field, is_optional in fields:
        if name in data:
            values[name] = _from_json(field, data[name], prefix, f"{where}.{name}")
        elif not is_optional:
            raise DecodeError(f"{where}: field {name!r} is missing")
    return kind(**values)


def _read_tuple(kind: Any, data: Json, prefix: str, where: str) -> Any:
    if not isinstance(data, list):
        raise DecodeError(f"{where}: expected a list")
    kinds = _items(kind, len(data))
    if len(kinds) != len(data):
        raise DecodeError(f"{where}: expected {len(kinds)} entries")
    pairs = enumerate(zip(kinds, data, strict=True))
    return tuple(_from_json(item, value, prefix, f"{where}[{n}]") for n, (item, value) in pairs)


def _read_bytes(is_address: bool, data: Json, prefix: str, where: str) -> bytes:
    if not isinstance(data, str):
        raise DecodeError(f"{where}: expected text")
    try:
        value = decode_address(prefix, data) if is_address else bytes.fromhex(data)
    except ValueError as error:
        raise DecodeError(f"{where}: not hex") from error
    except InvalidAddress as error:
        raise DecodeError(f"{where}: {error}") from error
    if not is_address and value.hex() != data:
        raise DecodeError(f"{where}: hex must have small letters and no blanks")
    return value


def _read_scalar(data: Json, where: str) -> Json:
    """Numbers, booleans and text unchanged; the caller checks the type."""
    if isinstance(data, float):
        raise DecodeError(f"{where}: numbers must be integers without point or exponent")
    if isinstance(data, str) and not _is_encodable(data):
        raise DecodeError(f"{where}: text has half a character (a lone surrogate)")
    return data


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
