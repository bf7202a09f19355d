"""The screens of `vidya query`, drawn from recorded answers of a real network."""

import json
from pathlib import Path
from typing import Any

from cli.context.client import Client
from cli.context.network import NetworkContext
from cli.context.readable import Reader
from cli.screens import accounts, blocks, datums, hosts
from cli.terminal.options import build_settings
from cli.terminal.style import render
from cli.terminal.tables import Columns, FoldingTable, build_details
from cli.transactions.describing import Describer
from node.home.profiles import load_profile

FOLDER = Path(__file__).parent
ANSWERS = FOLDER / "answers.json"
GOLDEN = FOLDER / "golden"
WIDTHS = (60, 100, 120)
PRICE_PER_GIB = 10**10
SCREENS = (
    "validators",
    "hosts",
    "host",
    "jailed-host",
    "account",
    "validator-account",
    "block",
    "transaction",
    "search",
    "datum",
    "supply",
    "status",
)


class Recorded(Client):
    """A node that answers what was recorded."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__("http://127.0.0.1:9")
        self._answers = answers

    def get(self, path: str, **parameters: Any) -> Any:
        """A copy of the answer."""
        return json.loads(json.dumps(self._answers[path]))


class Screens:
    """What was recorded, and how each screen is made of it."""

    def __init__(self) -> None:
        kept = json.loads(ANSWERS.read_text())
        self._answers, self._people = kept["answers"], kept["people"]
        network = NetworkContext(build_settings({"home": "/nonexistent"}), Recorded(self._answers))
        network.__dict__["spec"] = load_profile("devnet")
        names = {address: name for name, address in self._people.items()}
        self.reader, self._network = Reader(network, names), network
        self._describer = Describer(network, reader=self.reader)

    def build(self, name: str) -> tuple[Any, Columns]:
        """The data of a screen, and the columns if it is a table."""
        reader, people = self.reader, self._people
        match name:
            case "validators":
                return hosts.build_validators(reader, self._get("/v1/validators")), hosts.VALIDATOR_COLUMNS
            case "hosts":
                return hosts.build_hosts(reader, self._get("/v1/hosts")["hosts"]), hosts.HOST_COLUMNS
            case "host":
                return hosts.build_host(reader, self._get(f"/v1/hosts/{people['node0']}")), ()
            case "jailed-host":
                return hosts.build_host(reader, self._get(f"/v1/hosts/{people['node3']}")), ()
            case "account":
                return accounts.build_account(reader, self._get(f"/v1/accounts/{people['alice']}")), ()
            case "validator-account":
                return accounts.build_account(reader, self._get(f"/v1/accounts/{people['node0']}")), ()
            case "block":
                return blocks.build_block(reader, self._describer, self._get("/v1/blocks/")), ()
            case "transaction":
                return blocks.build_transaction(reader, self._describer, self._get("/v1/transactions/")), ()
            case "search":
                found = self._get("/v1/datums")["datums"]
                rows = datums.build_found(self._network, reader, found, PRICE_PER_GIB)
                return rows, datums.SEARCH_COLUMNS
            case "datum":
                return datums.build_datum(reader, self._get("/v1/datums/")), ()
            case _:
                return reader.read(self._get(f"/v1/{name}")), ()

    def _get(self, path: str) -> Any:
        """The answer at a path, or at the first that begins so."""
        if path in self._answers:
            return self._answers[path]
        return next(answer for known, answer in self._answers.items() if known.startswith(path))


def draw(name: str, width: int) -> str:
    """A screen as a terminal of this width shows it."""
    data, columns = Screens().build(name)
    content = FoldingTable(data, columns) if isinstance(data, list) else build_details(data)
    return render(content, width)
