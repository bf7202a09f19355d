"""A node for gossip tests: a real driver and gossip over the in-memory network, and peers that say anything.

The node observes (it signs nothing) a chain whose validators are all held by the forge. It never gets as far
as a decision unless the test lets it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import trio
import trio.testing

from chain.modules import balances
from chain.primitives.codec import replace
from chain.transaction import SignedTransaction, get_transaction_id
from chain.votes import VoteKind
from consensus.types import Step
from node.app import build_synchrony, build_timeouts
from node.clock import Clock
from node.consensus_driver import Driver
from node.consensus_gossip import ConsensusGossip
from node.journal import Journal
from node.lane import Lane
from node.mempool import Mempool, Pooled
from node.signatures import SignatureMemory
from p2p.boundary import run_for_peer
from p2p.memory import MemoryHub
from p2p.messages import (
    ConsensusMessage,
)
from p2p.network import Stream
from p2p.protocols import CONSENSUS
from p2p.requests import open_stream, receive_message, send_message
from p2p.switch import Switch
from storage.wal import Wal
from tests.node.forge import BOB, Forge, wait_until

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT
SEND = balances.Send(BOB.address, 1)
M = TypeVar("M")


class StillClock:
    """A clock that shows what the test says."""

    def __init__(self, now_ms: int) -> None:
        self.time_ms = now_ms

    def now_ms(self) -> int:
        return self.time_ms


class NoSync:
    """Nobody is ahead."""

    async def catch_up(self) -> None:
        """Nothing to do."""

    async def is_behind(self) -> bool:
        """No."""
        return False


@dataclass
class Peer:
    """One peer of the node: what it said is here, and it says what the test wants."""

    network: Switch
    scene: "Scene"
    heard: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stream: Stream

    async def say(self, *messages: ConsensusMessage) -> None:
        """Send, and wait until the node has nothing more to do with it."""
        for message in messages:
            await send_message(self.stream, message)
        await settle()

    def list_heard(self, kind: type[M]) -> list[M]:
        """What the node said of that kind."""
        return [message for message in self.heard if isinstance(message, kind)]

    @property
    def score(self) -> int:
        """What the node thinks of it."""
        return self.scene.network.scores.get_score(self.network.peer_id)


async def settle() -> None:
    """Until nothing can happen but timers; blocks are executed in a thread, so look twice."""
    for _ in range(3):
        await trio.testing.wait_all_tasks_blocked(0.01)


@dataclass
class Scene:
    """The node under test."""

    path: Path
    forge: Forge = field(default_factory=Forge)
    hub: MemoryHub = field(default_factory=MemoryHub)

    @asynccontextmanager
    async def open(self, *, is_running: bool = True) -> AsyncIterator["Scene"]:
        """The node, at genesis; it works on height 1."""
        self.clock: Clock = StillClock(self.forge.ledger.head.time_ms + 10)
        observed = Forge(spec=self.forge.spec)
        self.mempool = Mempool()
        parameters = observed.ledger.get_parameters()
        wal = Wal.create(self.path / "wal", 1)
        self.driver = Driver(
            observed.ledger,
            Lane(),
            self.mempool,
            self.clock,
            signer=None,
            journal=Journal(wal),
            timeouts=build_timeouts(replace(parameters, propose_timeout_ms=10**6, vote_timeout_ms=10**6)),
            synchrony=build_synchrony(parameters),
            reveal=lambda: None,
            report=self.reported_append,
        )
        async with self.hub.open_network(b"n" * 32, self.forge.genesis_hash) as self.network:
            verify = SignatureMemory().verify
            self.gossip = ConsensusGossip(self.network, self.driver, self.mempool, self.clock, verify)
            async with trio.open_nursery() as self.nursery:
                await self.nursery.start(self.gossip.run)
                if is_running:
                    await self.nursery.start(self.driver.run, self.gossip, NoSync())
                    await wait_until(lambda: self.driver.core.step is not Step.UNSTARTED)
                yield self
                self.nursery.cancel_scope.cancel()
        wal.close()

    def __post_init__(self) -> None:
        self.reported: list[object] = []

    def reported_append(self, evidence: object) -> None:
        """What the driver is told to do with evidence."""
        self.reported.append(evidence)

    @asynccontextmanager
    async def join(self, number: int) -> AsyncIterator[Peer]:
        """A peer that the node attends."""
        async with self.hub.open_network(bytes((number,)) * 32, self.forge.genesis_hash) as network:
            peer = Peer(network, self)

            async def listen(stream: Stream) -> None:
                while True:
                    peer.heard.append(await receive_message(stream, ConsensusMessage))

            network.serve(CONSENSUS, listen)
            await network.connect(self.network.addresses[0])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.attend, network.peer_id)
                async with open_stream(network, self.network.peer_id, CONSENSUS) as peer.stream:
                    await settle()
                    yield peer
                nursery.cancel_scope.cancel()

    async def attend(self, peer: bytes) -> None:
        """As the peer manager does, behind its boundary."""
        await run_for_peer(peer, lambda: self.gossip.attend(peer), self.network.blame)

    def wait_in_pool(self, signed: SignedTransaction) -> None:
        """The transaction is known to the node."""
        pooled = Pooled(get_transaction_id(signed), signed, 300, 200, False)
        self.mempool.add(pooled, self.driver.ledger)
