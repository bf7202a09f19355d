"""What people call things: ids, short ids, titles and names of keys.

What cannot be meant is said, and what is near is suggested.

A short id (`3614f61faa...3ec7`, or its first characters) counts if only one thing fits. For an account it is
looked for among the keys of the wallet and the hosts.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from cli.errors import CliError, UsageFault
from cli.exits import ExitCode
from cli.terminal.cells import format_cell, shorten, split_short

if TYPE_CHECKING:
    from chain.genesis import ChainSpec
    from chain.primitives.types import Address
    from cli.terminal.options import Settings

ID_DIGITS = 64
PREFIX_DIGITS_MIN = 6
"""Fewer digits of an id are not looked up: they could be a word, or soon fit another."""
SEARCHED_MAX = 10_000
SHOWN_CHARS = 80
_HEX = re.compile(r"[0-9a-fA-F]+")
_BLOCK = re.compile(r"latest|[0-9]{1,19}")


class NameScope(Protocol):
    """Where names are looked up (`cli.context.network.NetworkContext`)."""

    settings: "Settings"

    @property
    def spec(self) -> "ChainSpec":
        """The chain spec."""

    def address(self, who: "Address") -> str:
        """The address in bech32m."""

    def list_pages(self, path: str, name: str, **parameters: Any) -> Iterator[Any]:
        """All records of a list of the API."""


def parse_id(text: str, what: str = "datum") -> str:
    """64 hexadecimal digits in small letters; raises UsageFault with what is wrong."""
    shown = text[:SHOWN_CHARS]
    if text.lower().startswith("0x"):
        raise UsageFault(f"{shown!r} begins with 0x", "write the id without it")
    if _HEX.fullmatch(text) is None:
        raise UsageFault(f"{shown!r} is no id of a {what}", f"ids have {ID_DIGITS} hexadecimal digits")
    if len(text) != ID_DIGITS:
        message = f"{shown!r} has {len(text)} hexadecimal digits"
        raise UsageFault(message, f"the id of a {what} has {ID_DIGITS}")
    return text.lower()


def parse_block(text: str) -> str:
    """A height, `latest`, or a hash; raises UsageFault."""
    if _BLOCK.fullmatch(text):
        return text
    if _HEX.fullmatch(text) and len(text) == ID_DIGITS:
        return text.lower()
    raise UsageFault(f"{text[:SHOWN_CHARS]!r} is no block", "a height, latest, or a hash of 64 digits")


def find_datum(network: NameScope, text: str) -> str:
    """The id of a datum out of its id, a short id or its title; raises UsageFault, CliError."""
    if _HEX.fullmatch(text) and len(text) == ID_DIGITS:
        return text.lower()
    short = split_short(text)
    if short is None and _HEX.fullmatch(text) and len(text) >= PREFIX_DIGITS_MIN:
        short = (text, "")
    if short is not None:
        listed = _list_datums(network)
        start, end = short[0].lower(), short[1].lower()
        return _choose(text, [one["id"] for one in listed if _fits(one["id"], start, end)])
    if text.lower().startswith("0x"):
        return parse_id(text)
    return _find_title(network, text)


def _find_title(network: NameScope, text: str) -> str:
    if not text:
        raise UsageFault("an empty text is no datum", "`vidya search` lists what there is")
    listed = _list_datums(network)
    same = [one["id"] for one in listed if one["title"].casefold() == text.casefold()]
    if same:
        return _choose(text, same)
    titles = {one["title"].casefold(): one["title"] for one in listed}
    near = get_close_matches(text.casefold(), titles, 1) or [one for one in titles if text.casefold() in one]
    hint = f"did you mean {format_cell(titles[near[0]])!r}?" if near else "`vidya search` lists what there is"
    raise UsageFault(f"no datum has the id or the title {text[:SHOWN_CHARS]!r}", hint)


def _list_datums(network: NameScope) -> list[dict[str, Any]]:
    return list(islice(network.list_pages("/v1/datums", "datums", limit=1000), SEARCHED_MAX))


def _fits(whole: str, start: str, end: str) -> bool:
    return whole.startswith(start) and whole.endswith(end)


def _choose(text: str, found: Iterable[str]) -> str:
    """The only one; raises UsageFault."""
    different = list(dict.fromkeys(found))
    if not different:
        raise UsageFault(f"nothing here has the id {text[:SHOWN_CHARS]!r}", "give the whole id")
    if len(different) > 1:
        listed = ", ".join(map(shorten, different[:4]))
        raise UsageFault(f"{text[:SHOWN_CHARS]!r} fits several: {listed}", "give the whole id")
    return different[0]


def find_address(network: NameScope, text: str) -> "Address":
    """The account of an address, a short address or a key's name.

    Raises UsageFault, CliError, InvalidAddress.
    """
    from chain.primitives.addresses import decode_address

    prefix, keys = network.spec.prefix, _list_accounts(network)
    if text in keys:
        return keys[text]
    if short := split_short(text):
        hosts = _list_hosts(network)
        known = [*(network.address(one) for one in keys.values()), *hosts]
        return decode_address(prefix, _choose(text, [one for one in known if _fits(one, *short)]))
    if text.lower().startswith(prefix + "1"):
        return decode_address(prefix, text)
    check_other_network(text, prefix)
    near = get_close_matches(text.lower(), keys, 1)
    hint = f"did you mean {near[0]}?" if near else f"`vidya wallet list`, or an address: {prefix}1..."
    message = f"no key is named {text[:SHOWN_CHARS]!r}, and it is no address"
    raise CliError("key_not_found", message, hint, ExitCode.NOT_FOUND)


def check_other_network(text: str, prefix: str) -> None:
    """Raises UsageFault if the text is an address, but of another network."""
    from cli.context.keys import try_decode

    if try_decode(text) is not None:
        other = text.lower().rpartition("1")[0]
        raise UsageFault(f"this is an address of a network of {other!r}; here addresses begin with {prefix}1")


def _list_accounts(network: NameScope) -> dict[str, "Address"]:
    from cli.context.keys import ACCOUNT_ROLES, list_keys

    return {key.name: key.address for key in list_keys(network.settings) if key.role in ACCOUNT_ROLES}


def _list_hosts(network: NameScope) -> list[str]:
    return [one["address"] for one in islice(network.list_pages("/v1/hosts", "hosts"), SEARCHED_MAX)]
