"""The network that a command works on: node, chain spec, and how its amounts and addresses are written."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import CliError, UsageFault
from cli.exits import ExitCode
from cli.terminal.amounts import format_amount, parse_amount
from cli.terminal.options import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chain.genesis import ChainSpec
    from chain.primitives.types import Address, Hash
    from cli.context.client import Client
    from cli.context.clock import ChainClock

API_PORT = 7780
API_URL = f"http://127.0.0.1:{API_PORT}"
API_URL_FILE = "api-url"
FILE_CHARS_MAX = 1024


class NetworkContext:
    """A node, and what is fixed about its network; everything is asked once, when it is needed."""

    def __init__(self, settings: Settings, client: "Client") -> None:
        self.settings = settings
        self.client = client

    @cached_property
    def spec(self) -> "ChainSpec":
        """The chain spec."""
        from msgspec import json

        from chain.errors import InvalidChainSpec
        from chain.genesis import parse_chain_spec

        try:
            return parse_chain_spec(json.encode(self.client.get("/v1/chain")))
        except InvalidChainSpec as error:
            raise InvalidChainSpec(f"the chain spec of {self.client.url}: {error}") from error

    @cached_property
    def genesis_hash(self) -> "Hash":
        """The hash that names the network, computed here from the spec."""
        from chain.genesis import compute_genesis_hash

        return compute_genesis_hash(self.spec)

    def get_status(self) -> dict[str, Any]:
        """Where the node is now."""
        status: dict[str, Any] = self.client.get("/v1/status")
        return status

    def check_synced(self) -> dict[str, Any]:
        """The status; raises if the node is behind."""
        status = self.get_status()
        if status.get("syncing"):
            raise CliError(
                "not_synced", f"the node is at height {status['height']}", status=ExitCode.NOT_SYNCED
            )
        return status

    def list_pages(self, path: str, name: str, **parameters: Any) -> "Iterator[Any]":
        """All records of a list that comes in pages."""
        after: str | None = ""
        while after is not None:
            page = self.client.get(path, **parameters, after=after or None)
            yield from page[name]
            after = page["next"]

    def parse_amount(self, text: str) -> int:
        """Base units."""
        return parse_amount(text, self.spec.decimals, self.spec.symbol)

    def amount(self, units: int) -> str:
        """`999,987.5 VIDYA`."""
        return format_amount(units, self.spec.decimals, self.spec.symbol, is_grouped=True)

    def number(self, units: int) -> str:
        """`999,987.5`: where the token was just named."""
        return format_amount(units, self.spec.decimals, is_grouped=True)

    @cached_property
    def clock(self) -> "ChainClock":
        """What heights and periods mean in time, by the head when it was first asked for."""
        from cli.context.clock import ChainClock

        return ChainClock(self.get_status()["height"], self.spec.system.parameters)

    def renew_clock(self) -> None:
        """After a wait: the head is asked for again when a period is next told."""
        vars(self).pop("clock", None)

    def address(self, who: "Address") -> str:
        """The address in bech32m."""
        from chain.primitives.addresses import encode_address

        return encode_address(self.spec.prefix, who)

    def find_address(self, text: str) -> "Address":
        """The account of an address, a short address or a key's name; see `cli.context.names`."""
        from cli.context.names import find_address

        return find_address(self, text)


def connect(settings: Settings) -> NetworkContext:
    """The node that was named (`find_url`); with its token, if its home is at hand."""
    from cli.context.client import Client
    from cli.terminal.output import say

    url, why = find_url(settings)
    if settings.is_verbose:
        say(f"node: {url} ({why})")
    token = find_token(settings.home) if url == get_home_url(settings.home) else None
    return NetworkContext(settings, Client(url, token))


def connect_own(settings: Settings) -> NetworkContext:
    """The node of the home, with the token for control requests; raises CliError if none runs."""
    from cli.context.client import Client

    url, token = get_home_url(settings.home), find_token(settings.home)
    if token is None or url is None:
        raise build_not_running(settings.home)
    return NetworkContext(settings, Client(url, token))


def find_url(settings: Settings) -> tuple[str, str]:
    """The URL of the API that is asked, and why this one; raises CliError.

    In this order: --api, the node of a home that was typed, VIDYA_API, the node of VIDYA_HOME or of the usual
    home, the usual port. A home that holds a node whose process does not run is an error: another node would
    answer for it.
    """
    own = get_home_url(settings.home)
    if settings.api:
        return settings.api, "--api"
    if not settings.is_home_typed and (named := os.environ.get("VIDYA_API")):
        return named, "VIDYA_API"
    if is_node_home(settings.home):
        if own is None:
            raise build_not_running(settings.home)
        return own, f"{'--home' if settings.is_home_typed else 'home'} {settings.home}"
    if named := os.environ.get("VIDYA_API"):
        return named, "VIDYA_API"
    return API_URL, "the usual port"


def build_not_running(home: Path) -> CliError:
    """There is no running node in a home that should have one."""
    hint = f"`vidya node start --home {home}`" if is_node_home(home) else "--home DIR names its folder"
    return CliError("not_running", f"no node runs in {home}", hint)


def is_node_home(home: Path) -> bool:
    """Whether a node was made there; a home may also hold a wallet only."""
    return (home / "data").is_dir() and ((home / "chain.json").is_file() or (home / "keys").is_dir())


def get_home_url(home: Path) -> str | None:
    """Where the API of a home's node is; None if it does not run: a killed node leaves the note behind."""
    from node.home.process import find_process

    if find_process(home) is None:
        return None
    return _read_line(home / "data" / API_URL_FILE)


def find_token(home: Path) -> str | None:
    """The token that the node of a home demands for control requests; None if there is none."""
    return _read_line(home / "api-token")


def _read_line(file: Path) -> str | None:
    """The first line of a small file; None if there is no such file."""
    if not file.is_file():
        return None
    with file.open(encoding="utf-8", errors="replace") as stream:
        return stream.readline(FILE_CHARS_MAX).strip()


def try_get_prefix(settings: Settings) -> str | None:
    """The prefix of the network whose node was named, if it answers."""
    if settings.api is None and not os.environ.get("VIDYA_API"):
        return None
    try:
        return str(connect(settings).get_status()["prefix"])
    except CliError:
        return None


def get_prefix_of_home(home: Path) -> str | None:
    """The prefix of the chain spec in a home; None if there is none."""
    from msgspec import DecodeError, json

    file = home / "chain.json"
    if not file.is_file():
        return None
    try:
        return str(json.decode(file.read_bytes())["prefix"])
    except (DecodeError, KeyError, TypeError):
        return None


def load_spec(path: Path) -> "ChainSpec":
    """The chain spec in a file; raises UsageFault, InvalidChainSpec with the name of the file."""
    from node.home.chain_file import load_chain_spec

    if not path.is_file():
        raise UsageFault(f"there is no chain spec at {path}")
    return load_chain_spec(path)
