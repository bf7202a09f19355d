"""GossipSub topic `heads`: announcements of final headers, for observers and other implementations.

Announcements only: py-libp2p's GossipSub loses messages under load and its queues drop silently, so no part
of the protocol may wait for one. Everything announced can be asked for over `sync`. Failures are contained:
a fault of a peer ends its stream and costs it points; at worst GossipSub is restarted, and the rest of the
node goes on. What is taken of a peer's bytes: `rpc_filter`; what becomes of an announcement: `guarded`.
"""

from typing import Any

import structlog
import trio
from libp2p.tools.anyio_service import background_trio_service

from p2p.boundary import run_for_stranger
from p2p.errors import PeerGone
from p2p.gossip.guarded import HEAD_BYTES_MAX, BoundedRouter, GuardedPubsub, Judge
from p2p.gossip.host import GossipHost
from p2p.network import NetworkEvent, PeerConnected
from p2p.switch.switch import Switch

_log = structlog.get_logger("p2p")

QUEUE_MAX = 64
EVENTS_MAX = 1024
RESTART_SECONDS = 1.0


class HeadTopic:
    """The topic, as one node takes part in it."""

    def __init__(self, switch: Switch, seed: bytes, judge: Judge) -> None:
        self.topic = f"/vidya/{switch.genesis_hash[:4].hex()}/heads/1"
        self._switch = switch
        self._seed = seed
        self._judge = judge
        self._pubsub: GuardedPubsub | None = None
        self._queue_in, self.received = trio.open_memory_channel[bytes](QUEUE_MAX)

    async def announce(self, announcement: bytes) -> None:
        """Publishes an announcement while GossipSub runs; it may get lost. One above HEAD_BYTES_MAX is
        dropped, since peers would refuse it.
        """
        if len(announcement) > HEAD_BYTES_MAX:
            _log.warning("head_too_large", size_bytes=len(announcement))
        elif self._pubsub is not None:
            await self._pubsub.publish(self.topic, announcement)

    async def run_once(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs GossipSub until it fails or falls behind."""
        host = GossipHost(self._switch, self._seed)
        pubsub = GuardedPubsub(host, BoundedRouter(), self.topic, self._judge)
        events_in, events = trio.open_memory_channel[NetworkEvent](EVENTS_MAX)
        scope = trio.CancelScope()

        def on_event(event: NetworkEvent) -> None:
            try:
                events_in.send_nowait(event)
            except trio.WouldBlock:
                # Peers come and go faster than GossipSub takes note. A watcher must not raise: it would end
                # the connection's task and the node. So GossipSub restarts with the current peers.
                scope.cancel()

        unwatch = self._switch.watch(on_event)
        try:
            for info in self._switch.connections():
                on_event(PeerConnected(info.peer, info.address, info.is_outbound))
            with scope:
                async with background_trio_service(pubsub), background_trio_service(pubsub.router):
                    await pubsub.wait_until_ready()
                    subscription = await pubsub.subscribe(self.topic)
                    self._pubsub = pubsub
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(host.notify, events)
                        task_status.started()
                        await self._empty(subscription)
        finally:
            self._pubsub = None
            unwatch()

    async def _empty(self, subscription: Any) -> None:
        """Moves messages to our own queue, which logs what it drops; GossipSub's holds 32 and drops
        silently.
        """
        while True:
            message = await subscription.get()
            try:
                self._queue_in.send_nowait(message.data)
            except trio.WouldBlock:
                _log.info("head_dropped", queue=QUEUE_MAX)


async def run_head_topic(
    topic: HeadTopic, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Runs the topic until cancelled; restarts it RESTART_SECONDS after it ended."""
    task_status.started()
    while True:
        try:
            await run_for_stranger(topic.run_once)
        except PeerGone as error:
            _log.warning("heads_restarted", exc_info=error)
        await trio.sleep(RESTART_SECONDS)
