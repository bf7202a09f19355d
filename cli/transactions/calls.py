"""The calls of the state machine as commands: names, parameters, and arguments out of text.

Everything follows from the modules' own declarations; what people read differently than a program (amounts,
sizes, shares, peers) is told by the names of fields.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, cast, get_args, get_origin

from chain.jsonable import from_json, get_fields
from chain.module import CallSpec, Module
from chain.modules.schedule import MODULES
from chain.primitives.codec import check_bounds
from chain.primitives.errors import DecodeError
from cli.context.names import find_datum, parse_id
from cli.context.network import NetworkContext
from cli.errors import UsageFault
from cli.terminal.amounts import parse_share, parse_size

NAMES = {
    ("membership", "join"): "join-collective",
    ("balances", "burn_own"): "burn",
    ("beacon", "commit_chain"): "beacon-commit",
}
"""Verbs that differ from the call's own name, which would be too short beside the others."""

AMOUNTS = frozenset(("amount", "price_max_per_gib"))
SIZES = frozenset(("size_bytes", "capacity"))
SHARES = frozenset(("commission_ppm",))
COUNTS = frozenset(("case", "links", "expires_at", "epoch", "weeks", "number"))
POSITIONAL_MAX = 2
"""Calls with more fields take them as options: their order is hard to remember."""

Read = Callable[[NetworkContext, str], Any]


class Field(NamedTuple):
    """A field of a call, as a parameter."""

    name: str
    metavar: str
    read: Read
    is_list: bool
    is_optional: bool


class Verb(NamedTuple):
    """A call, as a command."""

    name: str
    module: Module
    spec: CallSpec
    fields: tuple[Field, ...]

    @property
    def help(self) -> str:
        """The first line of the call's docstring."""
        return (self.spec.kind.__doc__ or "").split("\n")[0]


def list_verbs() -> list[Verb]:
    """Every call that an account makes, in the order of modules; duties are the node's."""
    return [
        Verb(
            NAMES.get((module.name, spec.name), spec.name.replace("_", "-")),
            module,
            spec,
            tuple(build_field(*field) for field in get_fields(cast(Any, spec.kind))),
        )
        for module in MODULES
        for spec in module.calls.values()
        if not spec.is_duty
    ]


def build_field(name: str, kind: Any, is_optional: bool) -> Field:
    """The parameter for a field."""
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(inner) is tuple:
        metavar, read = choose_reader(name, get_args(inner)[0])
        return Field(name, metavar, read, True, True)
    metavar, read = choose_reader(name, kind)
    return Field(name, metavar, read, False, is_optional)


def choose_reader(name: str, kind: Any) -> tuple[str, Read]:
    """How text becomes the value of a field, and what help calls it."""
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if inner is bytes:
        return _choose_bytes_reader(name, kind)
    if inner is bool:
        return "YES|NO", lambda _, text: read_flag(text)
    if inner is int:
        return _choose_number_reader(name)
    if inner is str:
        return "TEXT", lambda _, text: text
    if inner.__name__ == "HostAllotment":
        return "HOST=AMOUNT", read_allotment
    raise AssertionError(f"nobody can type a {inner.__name__}")


def _choose_bytes_reader(name: str, kind: Any) -> tuple[str, Read]:
    if name == "peer_id":
        return "PEER", read_peer
    if any(getattr(meta, "title", None) == "address" for meta in getattr(kind, "__metadata__", ())):
        return "ADDRESS|NAME", lambda network, text: network.find_address(text)
    if name == "datum":
        return "ID|TITLE", lambda network, text: bytes.fromhex(find_datum(network, text))
    return "ID", lambda _, text: read_id(text)


def _choose_number_reader(name: str) -> tuple[str, Read]:
    if name in AMOUNTS:
        return "AMOUNT", lambda network, text: network.parse_amount(text)
    if name in SIZES:
        return "SIZE", lambda _, text: parse_size(text)
    if name in SHARES:
        return "SHARE", lambda _, text: parse_share(text)
    assert name in COUNTS, f"{name}: is it an amount, a size, a share or a count?"
    return "NUMBER", lambda _, text: read_number(text)


def read_id(text: str) -> bytes:
    """32 bytes in hex."""
    return bytes.fromhex(parse_id(text, "thing of this kind"))


def read_flag(text: str) -> bool:
    """`yes` or `no`."""
    if text not in ("yes", "no"):
        raise UsageFault(f"{text[:40]!r} is neither yes nor no")
    return text == "yes"


def read_number(text: str) -> int:
    """A whole number."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 19:
        raise UsageFault(f"{text[:40]!r} is no whole number")
    return int(text)


def read_peer(_: NetworkContext, text: str) -> bytes:
    """A libp2p peer id."""
    from p2p.identity import parse_peer

    return parse_peer(text)


def read_allotment(network: NetworkContext, text: str) -> Any:
    """`HOST=AMOUNT`."""
    from chain.modules.sessions import HostAllotment

    host, separator, amount = text.partition("=")
    if not separator:
        raise UsageFault(f"{text[:80]!r}: write HOST=AMOUNT")
    return HostAllotment(network.find_address(host), network.parse_amount(amount))


def build_arguments(network: NetworkContext, verb: Verb, values: dict[str, Any]) -> Any:
    """The record of a call out of what was typed; raises UsageFault."""
    arguments: dict[str, Any] = {}
    for field in verb.fields:
        typed = values[field.name]
        if field.is_list:
            arguments[field.name] = tuple(field.read(network, text) for text in typed or ())
        elif typed is not None:
            arguments[field.name] = field.read(network, typed)
    try:
        return check_bounds(verb.spec.kind(**arguments))
    except DecodeError as error:
        raise UsageFault(f"{verb.name}: {error}") from error


def read_batch(network: NetworkContext, document: Any) -> list[Any]:
    """The calls in a JSON list of `{"call": "balances.send", "arguments": {...}}`, as the API writes them."""
    if not isinstance(document, list) or not document:
        raise UsageFault('a batch is a JSON list of {"call": "balances.send", "arguments": {...}}')
    return [read_call(network, number, entry) for number, entry in enumerate(document)]


def read_call(network: NetworkContext, number: int, entry: Any) -> Any:
    """One entry of a batch; amounts are base units, as in all JSON."""
    name = entry.get("call", entry.get("name")) if isinstance(entry, dict) else None
    spec = list_batch_names().get(str(name))
    if spec is None:
        raise UsageFault(f"entry {number}: no call {name!r}", "`vidya tx --help` lists them")
    try:
        return from_json(spec.kind, entry.get("arguments", {}), network.spec.prefix)
    except DecodeError as error:
        raise UsageFault(f"entry {number}: {error}") from error


def list_batch_names() -> dict[str, CallSpec]:
    """Every call, also duties, by `module.call`; those of accounts by their verb too."""
    every = {f"{module.name}.{spec.name}": spec for module in MODULES for spec in module.calls.values()}
    return every | {verb.name: verb.spec for verb in list_verbs()}
