"""`--memo`: a text beside any call, shown before it is signed and to whoever reads the transaction."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chain.modules.balances import MEMO_BYTES_MAX
from chain.primitives.addresses import encode_address
from tests.cli.lockers.scene import Scene, open_scene
from tests.node.api.world import BOB

pytestmark = pytest.mark.network


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A node that listens."""
    async with open_scene(tmp_path) as opened:
        yield opened


async def test_a_memo_is_shown_sent_and_found(scene: Scene) -> None:
    """Sender and recipient see it in the history, beside the payment, and it costs by the byte."""
    bob = encode_address(scene.world.ledger.spec.prefix, BOB.address)
    sent = await scene.run("tx", "send", bob, "1", "--memo", "für die Töne")
    assert sent.exit_code == 0 and "Memo: für die Töne" in sent.stderr, sent.output
    for who in ("alice", bob):
        history = await scene.run("tx", "history", who)
        assert "Memo: für die Töne" in history.stdout and "Send 1 VIDYA" in history.stdout
    fees = [
        (await scene.ask("tx", "send", bob, "1", "--dry-run", *more))["fee"]
        for more in ((), ("--memo", "x"), ("--memo", "x" * MEMO_BYTES_MAX))
    ]
    assert fees[0] < fees[1] < fees[2]


async def test_a_memo_stands_beside_any_call(scene: Scene) -> None:
    """A bond too; a memo that is refused takes the whole transaction with it."""
    tried = await scene.ask("tx", "bond", "10", "--memo", "for June", "--dry-run")
    assert {"balances.MemoLeft", "staking.Bonded"} <= {event["name"] for event in tried["events"]}
    for memo in ("x" * (MEMO_BYTES_MAX + 1), "", "a\x1b[2J"):
        refused = await scene.run("tx", "bond", "10", "--memo", memo)
        assert refused.exit_code in (2, 6) and "emo" in refused.stderr, refused.output
