"""The guides at 60 and 120 columns: each command ends well, prints what was recorded, and fits.

`test_devnet.py` runs them as they are printed, at 100 columns, and looks at what they did. After a change
that is wanted, `python -m tests.cli.commands.transcripts WIDTH` records them again.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.devnet.plan import Devnet
from cli.nodes.processes import stop_nodes
from node.home.home import Home
from tests.cli.commands.test_devnet import Shell
from tests.cli.commands.transcripts import OTHER_WIDTHS, list_blocks, prepare

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, as that of the recording: a narrow screen cuts long paths in two."""
    with tempfile.TemporaryDirectory(prefix="guide-") as made:
        yield Path(made)


@pytest.mark.parametrize("width", OTHER_WIDTHS)
def test_guides_work_at_other_widths(folder: Path, width: int) -> None:
    """All four guides, one after the other on one network, in the order in which a newcomer reads them."""
    shell, devnet = Shell(folder), Devnet(folder / "demo")
    first, *middle, last = list_blocks("first-run", width)
    later = [block for guide in ("wallet", "light", "hosting") for block in list_blocks(guide, width)]
    prepare(folder)
    try:
        shell.follow(first, width)
        shell.export(devnet.environment_file)
        for block in [*middle, *later, last]:
            shell.follow(block, width)
    finally:
        homes = devnet.list_homes() if devnet.exists else []
        stop_nodes([*homes, Home(folder / "fred-home")])
