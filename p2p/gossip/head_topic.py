"""GossipSub topic `heads`: announcements of final headers, for observers and other implementations.

Announcements only: py-libp2p's GossipSub loses messages under load and its queues drop silently, so no part
of the protocol may wait for one. Everything announced can be asked for over `sync`. Failures are contained:
bytes of a stranger that would end GossipSub (an unparsable protobuf, a broken RSA key) end their stream or
their message; at worst GossipSub is restarted, and the rest of the node goes on.

GossipSub caches a verdict for minutes, and *invalid* lowers the sender's score. So `is_wrong` tells only what
can never be right and is cheap to see; an early or unknown head passes here and is judged above.
"""

from collections.abc import Callable
from typing import Any

import structlog
import trio
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service

from chain.primitives.hashing import Domain, hash_bytes
from p2p.boundary import run_for_stranger
from p2p.errors import PeerGone
from p2p.gossip.host import GossipHost
from p2p.network import NetworkEvent, PeerConnected
from p2p.switch.switch import Switch

_log = structlog.get_logger("p2p")

HEAD_BYTES_MAX = 128 * 2**10
RPC_BYTES_MAX = 2 * HEAD_BYTES_MAX
QUEUE_MAX = 64
EVENTS_MAX = 1024
RESTART_SECONDS = 1.0


class HeadTopic:
    """The topic, as one node takes part in it."""

    def __init__(self, switch: Switch, seed: bytes, is_wrong: Callable[[bytes], bool]) -> None:
        self.topic = f"/vidya/{switch.genesis_hash[:4].hex()}/heads/1"
        self._switch = switch
        self._seed = seed
        self._is_wrong = is_wrong
        self._pubsub: Pubsub | None = None
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
        pubsub = _GuardedPubsub(host, self._build_router(), self.topic)
        pubsub.set_topic_validator(self.topic, self._judge, is_async_validator=False)
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

    def _judge(self, forwarder: Any, message: rpc_pb2.Message) -> bool:
        return len(message.data) <= HEAD_BYTES_MAX and not self._is_wrong(message.data)

    def _build_router(self) -> GossipSub:
        """Sets every default that matters. By default the heartbeat is two minutes, adaptive gossip slows it
        to one, eclipse protection wants peers with three IP addresses (a devnet has one), and the spam limit
        of 10 messages a second counts own ones too.
        """
        return GossipSub(
            protocols=[PROTOCOL_ID_V11],
            degree=6,
            degree_low=4,
            degree_high=12,
            time_to_live=60,
            gossip_window=3,
            gossip_history=5,
            heartbeat_initial_delay=0.1,
            heartbeat_interval=1,
            do_px=False,
            px_peers_count=0,
            prune_back_off=60,
            unsubscribe_back_off=10,
            max_idontwant_messages=10,
            adaptive_gossip_enabled=False,
            spam_protection_enabled=True,
            max_messages_per_topic_per_second=50.0,
            eclipse_protection_enabled=False,
        )


class _GuardedPubsub(Pubsub):  # type: ignore[misc]
    """Pubsub whose message handling cannot end it."""

    def __init__(self, host: GossipHost, router: GossipSub, topic: str) -> None:
        super().__init__(
            host,
            router,
            cache_size=1024,
            seen_ttl=120,
            sweep_interval=60,
            strict_signing=True,
            msg_id_constructor=_compute_message_id,
            validation_cache_ttl=60,
            validation_cache_size=1024,
            max_subscriptions_per_rpc=8,
            max_subscriptions_per_peer=8,
            max_inbound_rpc_size=RPC_BYTES_MAX,
            allowed_topics={topic},
        )

    async def push_msg(self, msg_forwarder: Any, msg: rpc_pb2.Message) -> None:
        try:
            await run_for_stranger(lambda: super(_GuardedPubsub, self).push_msg(msg_forwarder, msg))
        except PeerGone as error:
            _log.info("head_message_bad", forwarder=str(msg_forwarder), reason=str(error))


def _compute_message_id(message: rpc_pb2.Message) -> bytes:
    """By content: the same head from two peers is one message."""
    return hash_bytes(Domain.HEADER, message.data)


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
