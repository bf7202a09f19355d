"""GossipSub topic `heads`: announcements of final headers, for observers and other implementations.

Announcement only: py-libp2p's GossipSub loses messages under load and its queues drop in silence, so nothing
of the protocol may wait for one; everything announced can be asked for over `sync`. It is contained: what of
a stranger would end it (an unparsable protobuf, a broken RSA key) ends its stream or its message, and at
worst the service is started anew; the node never notices.

A verdict is cached by GossipSub for minutes, and *no* lowers the sender's score. So `is_wrong` is for what is
wrong for ever and cheap to see; what is early or unknown is accepted here and judged above.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
import trio
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service

from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.types import PeerId
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


@dataclass(frozen=True, slots=True)
class Head:
    """An announcement and who says to have made it; it is bytes until somebody above has checked it."""

    origin: PeerId
    announcement: bytes


class Heads:
    """The topic of one node."""

    def __init__(self, switch: Switch, seed: bytes, is_wrong: Callable[[bytes], bool]) -> None:
        self.topic = f"/vidya/{switch.genesis_hash[:4].hex()}/heads/1"
        self._switch = switch
        self._seed = seed
        self._is_wrong = is_wrong
        self._pubsub: Pubsub | None = None
        self._queue_in, self.received = trio.open_memory_channel[Head](QUEUE_MAX)

    async def announce(self, announcement: bytes) -> None:
        """Tells the mesh, if there is one now; never raises for what becomes of it. Peers would refuse an
        announcement above HEAD_BYTES_MAX, so it is not sent.
        """
        if len(announcement) > HEAD_BYTES_MAX:
            _log.warning("head_too_large", size_bytes=len(announcement))
        elif self._pubsub is not None:
            await self._pubsub.publish(self.topic, announcement)

    async def run_once(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """GossipSub from start to end."""
        host = GossipHost(self._switch, self._seed)
        pubsub = _GuardedPubsub(host, self._build_router(), self.topic)
        pubsub.set_topic_validator(self.topic, self._judge, is_async_validator=False)
        events_in, events = trio.open_memory_channel[NetworkEvent](EVENTS_MAX)
        scope = trio.CancelScope()

        def on_event(event: NetworkEvent) -> None:
            try:
                events_in.send_nowait(event)
            except trio.WouldBlock:
                # Peers come and go faster than GossipSub takes note: it begins anew with those who are there.
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
                        nursery.start_soon(host.tell, events)
                        task_status.started()
                        await self._empty(subscription)
        finally:
            self._pubsub = None
            unwatch()

    async def _empty(self, subscription: Any) -> None:
        """GossipSub's own queue holds 32 and drops in silence; ours drops the newest and says so."""
        while True:
            message = await subscription.get()
            try:
                self._queue_in.send_nowait(Head(message.from_id, message.data))
            except trio.WouldBlock:
                _log.info("head_dropped", queue=QUEUE_MAX)

    def _judge(self, forwarder: Any, message: rpc_pb2.Message) -> bool:
        return len(message.data) <= HEAD_BYTES_MAX and not self._is_wrong(message.data)

    def _build_router(self) -> GossipSub:
        """Every default that matters, said. The heartbeat's is two minutes, and adaptive gossip slows ours to
        one; eclipse protection wants three IP addresses, which a devnet has not; the spam limit of 10
        messages a second counts own ones too.
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
    """By content, so that the same head told by two peers is one message."""
    return hash_bytes(Domain.HEADER, message.data)


async def run_heads(heads: Heads, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Keeps the topic alive until cancelled."""
    task_status.started()
    while True:
        try:
            await run_for_stranger(heads.run_once)
        except PeerGone as error:
            _log.warning("heads_restarted", exc_info=error)
        await trio.sleep(RESTART_SECONDS)
