"""Sending over a real node's API: what is shown before, what happens when another program takes the nonce."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

import outcome
import pytest
import trio

from chain.modules.balances import Send
from chain.modules.membership import Join
from chain.modules.staking.calls import Bond, Unbond
from cli.context.client import Client
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.context.readable import Reader
from cli.errors import OutcomeUnknown, RequestRefused
from cli.exits import ExitCode
from cli.screens.history import build_history, iterate_history
from cli.terminal.options import Settings, build_settings
from cli.transactions import sending
from cli.transactions.describing import Describer
from node.keys import keystore
from node.keys.derivation import KeyRole
from tests.node.api.test_api_server import open_server
from tests.node.api.world import ALICE, BOB, World
from tests.node.cluster import VIDYA

pytestmark = pytest.mark.network


class Interposed(Client):
    """The API, before whose next submission something else happens."""

    def __init__(self, url: str, before: Callable[[], None]) -> None:
        super().__init__(url)
        self._before = [before]

    def post(self, path: str, body: Any, **more: Any) -> Any:
        """The same, after what was to happen before."""
        if path == "/v1/transactions" and self._before:
            trio.from_thread.run_sync(self._before.pop())
        return super().post(path, body, **more)


async def outcome_of(function: Callable[..., Any], *arguments: Any) -> outcome.Outcome[Any]:
    """What the function returns or raises in a thread."""
    return await outcome.acapture(trio.to_thread.run_sync, function, *arguments)


class Scene:
    """A node, and the wallet of alice; blocks are made while a command waits."""

    def __init__(self, world: World, port: int, folder: Path) -> None:
        self.world, self.url = world, f"http://127.0.0.1:{port}"
        (folder / "password").write_text("pw")
        self.settings: Settings = build_settings(
            {"home": str(folder), "password_file": str(folder / "password"), "yes": True}
        )
        for name, person in (("alice", ALICE), ("bob", BOB)):
            keystore.create(
                folder / "wallet",
                name,
                bytes((1, person.number)) * 16,
                "pw",
                role=KeyRole.ACCOUNT,
                profile=keystore.Profile.DEVNET,
            )
        self.account = WalletAccount(self.settings, keystore.load(folder / "wallet", "alice"))

    async def send(self, calls: Sequence[Any], before: Callable[[], None] | None = None) -> dict[str, Any]:
        """Sends as alice while blocks are made."""
        client = Client(self.url) if before is None else Interposed(self.url, before)
        network = NetworkContext(self.settings, client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._make_blocks)
            found = await outcome_of(sending.send, network, self.account, calls)
            nursery.cancel_scope.cancel()
        return found.unwrap()

    async def _make_blocks(self) -> None:
        while True:
            await trio.sleep(0.05)
            self.world.make_block()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A node that listens."""
    async with open_server() as (world, port):
        yield Scene(world, port, tmp_path)


async def test_what_happens_is_shown_before(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """Verb, amount, names, fee and bound, what is left; the id stands on stderr before the outcome."""
    sent = await scene.send([Send(BOB.address, 3 * VIDYA)])
    first, second, third = capsys.readouterr().err.splitlines()[:3]
    assert first.startswith("Send 3 VIDYA  alice -> bob (") and "..." in first
    left = scene.world.ledger.get_free(ALICE.address)
    assert second.startswith("  fee 0.0") and "(at most 0.0" in second
    assert second.endswith(NetworkContext(scene.settings, Client(scene.url)).number(left))
    assert third == f"transaction {sent['id']}"


async def test_locks_and_losses_are_shown(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """What is bonded or locked says until when, and what makes one lose it."""
    await scene.send([Join(), Bond(9 * VIDYA)])
    told = capsys.readouterr().err
    assert "Join the collective as alice" in told and "Bond 9 VIDYA of alice" in told
    assert "locked until you take it back, and " in told and "lost if your key signs two votes" in told
    await scene.send([Unbond(2 * VIDYA)])
    assert "locked until era " in capsys.readouterr().err


async def test_a_lost_nonce_is_tried_again(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """Another transaction of the account takes the nonce: the same one is signed again, once."""

    def take_nonce() -> None:
        scene.world.make_block(scene.world.sign(ALICE, Send(BOB.address, VIDYA)))

    sent = await scene.send([Send(BOB.address, 2 * VIDYA)], take_nonce)
    assert sent["status"] == "final" and scene.world.ledger.get_nonce(ALICE.address) == 2
    assert "another effect" not in capsys.readouterr().err


async def test_a_second_draft_that_fails_is_not_signed(scene: Scene) -> None:
    """The first transaction spent what the second needs: it is refused by the dry run, and costs no fee."""
    free = scene.world.ledger.get_free(ALICE.address)

    def spend() -> None:
        scene.world.make_block(scene.world.sign(ALICE, Send(BOB.address, free - 2 * VIDYA)))

    with pytest.raises(RequestRefused) as caught:
        await scene.send([Send(BOB.address, 5 * VIDYA)], spend)
    assert caught.value.exit is ExitCode.INSUFFICIENT_FUNDS
    assert scene.world.ledger.get_nonce(ALICE.address) == 1


async def test_a_second_draft_with_another_effect_is_confirmed_again(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """The dry run of the second draft leaves other events: it is shown again before it is signed."""

    def bond_before() -> None:
        scene.world.make_block(scene.world.sign(ALICE, Bond(4 * VIDYA)))

    await scene.send([Bond(3 * VIDYA)], bond_before)
    told = capsys.readouterr().err
    assert "it would now have another effect" in told and told.count("Bond 3 VIDYA of alice") == 2


async def test_a_node_that_goes_after_the_submission_leaves_it_unknown(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction was taken and then nobody answers: the outcome is unknown, with the id."""

    class Going(Client):
        def get(self, path: str, **parameters: Any) -> Any:
            client = Client("http://127.0.0.1:9") if path.startswith("/v1/transactions/") else super()
            return client.get(path, **parameters)

    monkeypatch.setattr(sending, "SILENCE_SECONDS_MAX", 0.3)
    network = NetworkContext(scene.settings, Going(scene.url))
    calls = [Send(BOB.address, VIDYA)]
    with pytest.raises(OutcomeUnknown) as caught:
        await trio.to_thread.run_sync(sending.send, network, scene.account, calls)
    (tx_id,) = scene.settings.sent.open
    assert tx_id in caught.value.hint and caught.value.exit is ExitCode.OUTCOME_UNKNOWN


async def test_a_fee_bound_is_told_in_tokens(scene: Scene) -> None:
    """A bound below the fee is refused before anything is signed, in the token and not in base units."""
    network = NetworkContext(replace_fields(scene.settings), Client(scene.url))
    wishes = sending.Wishes(fee_max=100)
    calls = [Send(BOB.address, VIDYA)]
    with pytest.raises(RequestRefused, match=r"--fee-max allows 0\.0000001 VIDYA"):
        await trio.to_thread.run_sync(sending.send, network, scene.account, calls, wishes)
    assert scene.world.ledger.get_nonce(ALICE.address) == 0


async def test_history_names_what_was_sent_and_received(scene: Scene) -> None:
    """Both ends of a transfer find it, the newest first, and only what concerns them."""
    first = await scene.send([Send(BOB.address, 3 * VIDYA)])
    second = await scene.send([Bond(2 * VIDYA)])
    network = NetworkContext(scene.settings, Client(scene.url))

    def read(person: Any) -> list[dict[str, Any]]:
        return list(iterate_history(network, network.address(person.address), 1000))

    of_alice = await trio.to_thread.run_sync(read, ALICE)
    of_bob = await trio.to_thread.run_sync(read, BOB)
    assert [one["id"] for one in of_alice if one["kind"] == "transaction"] == [second["id"], first["id"]]
    assert [one["id"] for one in of_bob] == [first["id"]]
    reader = Reader(network, {})
    (row,) = build_history(reader, Describer(network, reader=reader), of_bob)
    assert str(row["what"]).startswith("Send 3 VIDYA") and str(row["outcome"]) == "done"
