"""Commands of alice and others over a real node's API, while blocks are made."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from typer.testing import CliRunner, Result

from cli.main import app
from node.keys import keystore
from node.keys.derivation import KeyRole
from tests.node.api.test_api_server import open_server
from tests.node.api.world import ALICE, BOB, VALIDATOR, World

PEOPLE = {"alice": ALICE, "bob": BOB, "judge": VALIDATOR}


class Scene:
    """A node, and a wallet with the keys of PEOPLE; blocks are made while a command waits."""

    def __init__(self, world: World, port: int, folder: Path) -> None:
        self.world = world
        self._options = ["--api", f"http://127.0.0.1:{port}", "-y"]
        self.folder = folder
        self.add_wallet(folder)

    def add_wallet(self, folder: Path) -> None:
        """Writes the keys into a folder."""
        folder.mkdir(exist_ok=True)
        (folder / "password").write_text("pw")
        profile = keystore.Profile.DEVNET
        for name, person in PEOPLE.items():
            secret = bytes((1, person.number)) * 16
            keystore.create(folder / "wallet", name, secret, "pw", role=KeyRole.ACCOUNT, profile=profile)

    async def run(
        self, *words: str, are_blocks_made: bool = True, who: str = "alice", home: Path | None = None
    ) -> Result:
        """What a command line says, and its exit code."""
        folder = home or self.folder
        more = ["--home", str(folder), "--password-file", str(folder / "password"), "--from", who]
        async with trio.open_nursery() as nursery:
            if are_blocks_made:
                nursery.start_soon(self._make_blocks)
            line = [*words, *self._options, *more]
            result = await trio.to_thread.run_sync(CliRunner().invoke, app, line)
            nursery.cancel_scope.cancel()
        return result

    async def ask(self, *words: str, **more: Any) -> Any:
        """The JSON of a command that succeeds."""
        result = await self.run(*words, "-o", "json", **more)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    async def _make_blocks(self) -> None:
        while True:
            await trio.sleep(0.05)
            self.world.make_block()

    def wait_era(self, era: int) -> None:
        """Blocks up to the first of an era."""
        system = self.world.ledger.get_parameters()
        while self.world.ledger.height < era * system.epoch_blocks * system.era_epochs:
            self.world.make_block()


@asynccontextmanager
async def open_scene(folder: Path) -> AsyncIterator[Scene]:
    """A node that listens, and a wallet in the folder."""
    async with open_server() as (world, port):
        yield Scene(world, port, folder)
