"""The guide to sponsors and juries, run as it is printed, on a devnet of its own: four real nodes judge."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.devnet.plan import Devnet
from cli.nodes.processes import stop_nodes
from tests.cli.commands.test_devnet import Shell, list_blocks
from tests.cli.commands.transcripts import prepare

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Shell]:
    """A shell with a devnet in `demo`; its nodes are stopped at the end."""
    made, devnet = Shell(tmp_path), Devnet(tmp_path / "demo")
    prepare(tmp_path)
    try:
        made.check("vidya devnet up --dir demo --detach --first-port 0")
        made.export(tmp_path / "demo" / "env")
        yield made
    finally:
        stop_nodes(devnet.list_homes() if devnet.exists else [])


def test_jury_guide_works_as_printed(court: Shell) -> None:
    """A datum is sponsored, challenged, and found to be junk by those who are drawn; its sponsors lose."""
    for block in list_blocks("jury"):
        court.follow(block)
    decided = json.loads(court.check("vidya jury show 0 -o json"))
    assert decided["is_junk"] and (decided["for_junk"], decided["silent"]) == (3, 0)
    assert json.loads(court.check("vidya query datum Noise -o json"))["datum"]["is_junk"]
