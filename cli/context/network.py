"""The network a command talks to: node, chain spec, and how its amounts and addresses are written."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import CliError, UsageFault
from cli.exits import ExitCode
from cli.terminal.amounts import format_amount, parse_amount
from cli.terminal.options import Settings

if TYPE_CHECKING:
    from chain.genesis import ChainSpec
    from chain.primitives.types import Address, Hash
    from cli.context.client import Client

API_PORT = 7780
API_URL = f"http://127.0.0.1:{API_PORT}"
API_URL_FILE = "api-url"


class NetworkContext:
    """A node, and what is fixed about its network; everything is asked once, when it is needed."""

    def __init__(self, settings: Settings, client: "Client") -> None:
        self.settings = settings
        self.client = client

    @cached_property
    def spec(self) -> "ChainSpec":
        """The chain spec."""
        from msgspec import json

        from chain.genesis import parse_chain_spec

        return parse_chain_spec(json.encode(self.client.get("/v1/chain")))

    @cached_property
    def genesis_hash(self) -> "Hash":
        """The name of the network, computed here out of the spec."""
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

    def parse_amount(self, text: str) -> int:
        """Base units."""
        return parse_amount(text, self.spec.decimals, self.spec.symbol)

    def amount(self, units: int) -> str:
        """As people read it."""
        return format_amount(units, self.spec.decimals, self.spec.symbol)

    def address(self, who: "Address") -> str:
        """As people read it."""
        from chain.primitives.addresses import encode_address

        return encode_address(self.spec.prefix, who)

    def find_address(self, text: str) -> "Address":
        """The account of an address or of a key's name; raises InvalidAddress or KeyNotFound."""
        from chain.primitives.addresses import decode_address
        from cli.context.keys import find_key
        from node.keys.keystore import KeystoreError

        if text.lower().startswith(self.spec.prefix + "1"):
            return decode_address(self.spec.prefix, text)
        try:
            return find_key(self.settings, text)[1].address
        except KeystoreError:
            # No name of a key: what is wrong with it as an address says more.
            return decode_address(self.spec.prefix, text)


def connect(settings: Settings) -> NetworkContext:
    """The node that was named (`find_url`); with its token, if its home is at hand."""
    from cli.context.client import Client

    url = find_url(settings)
    return NetworkContext(
        settings, Client(url, find_token(settings.home) if url == get_home_url(settings.home) else None)
    )


def connect_own(settings: Settings) -> NetworkContext:
    """The node of the home, which does what its operator asks; raises CliError if there is none."""
    from cli.context.client import Client

    url, token = get_home_url(settings.home), find_token(settings.home)
    if token is None or url is None:
        hint = "--home DIR names its folder; `vidya node start` runs it"
        raise CliError("not_running", f"this needs your own node, and none runs in {settings.home}", hint)
    return NetworkContext(settings, Client(url, token))


def find_url(settings: Settings) -> str:
    """Where the API is: --api, the node of a home that was typed, VIDYA_API, the node of the usual home, the
    usual port.
    """
    own = get_home_url(settings.home)
    if settings.api:
        return settings.api
    if settings.is_home_typed and own:
        return own
    return os.environ.get("VIDYA_API") or own or API_URL


def get_home_url(home: Path) -> str | None:
    """Where the API of a home's node is; None if it does not run."""
    file = home / "data" / API_URL_FILE
    return file.read_text().strip() if file.is_file() else None


def find_token(home: Path) -> str | None:
    """What the node of a home wants to see before it does something for us."""
    file = home / "api-token"
    return file.read_text().strip() if file.is_file() else None


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
    """The chain spec in a file; raises UsageFault, InvalidChainSpec."""
    from chain.genesis import CHAIN_SPEC_BYTES_MAX, parse_chain_spec

    if not path.is_file():
        raise UsageFault(f"there is no chain spec at {path}")
    with path.open("rb") as file:
        return parse_chain_spec(file.read(CHAIN_SPEC_BYTES_MAX + 1))
