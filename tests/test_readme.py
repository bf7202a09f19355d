"""The README's commands of `vidya`, run in its order on a network of real nodes.

What stands for something of the reader's (a datum's id, files, nodes of other people) is put in; nothing else
is changed. `tests/cli/commands/test_devnet.py` runs the guides.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.devnet.plan import Devnet
from cli.nodes.processes import stop_nodes
from node.home.home import Home
from tests.cli.commands.test_devnet import Shell

FENCE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell beside a devnet, with its variables set; all nodes that were started in it are stopped."""
    shell = Shell(tmp_path)
    try:
        shell.check("vidya devnet up --dir demo --detach --json-out demo.json")
        shell.export(tmp_path / "demo" / "env")
        yield shell
    finally:
        stop_nodes([*Devnet(tmp_path / "demo").list_homes(), Home(tmp_path / "own")])


def list_lines(repository: Path) -> list[str]:
    """The commands of `vidya` in the README."""
    blocks = FENCE.findall((repository / "README.md").read_text())
    return [line for block in blocks for line in block.splitlines() if line.startswith("vidya ")]


def fill_in(line: str, summary: dict[str, Any]) -> str:
    """The line with what its reader has to put in."""
    nodes = [node["api"] for node in summary["nodes"]]
    places = {
        "DATUM": summary["datums"][2]["id"],
        "http://somebody.example:7780": nodes[1],
        "http://other.example:7780": nodes[2],
        "chain.json": "demo/chain.json",
    }
    for place, value in places.items():
        line = line.replace(place, value)
    return line


def test_readme_works_as_printed(repository: Path, shell: Shell) -> None:
    """Each command ends well: on the devnet, then in a home of one's own that joins it."""
    summary = json.loads((shell.folder / "demo.json").read_text())
    lines = [fill_in(line, summary) for line in list_lines(repository)]
    (joining,) = [number for number, line in enumerate(lines) if line.startswith("vidya join")]
    for line in lines[:joining]:
        shell.check(line)
    fund = "vidya tx send {name} 60000 --from treasury -y"
    shell.check("vidya wallet new me --home own")
    shell.check(fund.format(name="me") + " --home own")
    (shell.folder / "recordings").mkdir()
    (shell.folder / "recordings" / "tape.txt").write_text("la la la\n" * 1000)
    own = "unset VIDYA_API; export VIDYA_HOME=$PWD/own\n"
    for line in lines[joining:]:
        shell.check(own + line + (" -y" if "--from" in line and "--dry-run" not in line else ""))
        if line == "vidya wallet new alice":
            address = json.loads(shell.check(f"{own}vidya wallet show alice --prefix vdev -o json"))[
                "address"
            ]
            shell.check(fund.format(name=address))
