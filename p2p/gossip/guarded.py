"""py-libp2p's Pubsub and GossipSub with the bounds that they do not have.

What is replaced of libp2p 0.8.1, and why:
- reading: RPCs come from `rpc_filter`, and the messages of one peer are handled one after the other (a task
  per message let a peer start thousands);
- judging: a message is verified before anything of it is kept, and a wrong one costs whoever sent it points
  (libp2p dropped it in silence). What nobody can judge yet is not passed on;
- forgetting: back-offs of peers that are gone stayed.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any

from libp2p.network.stream.exceptions import StreamEOF
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.validators import signature_validator

from chain.primitives.hashing import Domain, hash_bytes
from p2p.errors import PeerFault
from p2p.gossip.host import GossipHost
from p2p.gossip.rpc_filter import RPC_BYTES_MAX, RpcReader
from p2p.identity import is_peer_id

HEAD_BYTES_MAX = RPC_BYTES_MAX // 2
SEEN_SECONDS = 120
BACK_OFFS_MAX = 1024
SEQUENCE_BYTES = 8
WRONG_POINTS = 50


class HeadVerdict(Enum):
    """What becomes of an announcement of a peer."""

    RELAYED = "relayed"
    """It is right, and news."""
    KEPT = "kept"
    """This node cannot judge it, or it is old: nobody else gets it from here."""
    WRONG = "wrong"
    """It can never be right: it costs the sender points."""


Judge = Callable[[bytes], HeadVerdict]


class GuardedPubsub(Pubsub):  # type: ignore[misc]
    """Pubsub that one stranger cannot fill, stop or use against others."""

    def __init__(self, host: GossipHost, router: GossipSub, topic: str, judge: Judge) -> None:
        super().__init__(
            host,
            router,
            cache_size=1024,
            seen_ttl=SEEN_SECONDS,
            sweep_interval=60,
            strict_signing=True,
            msg_id_constructor=compute_message_id,
            max_inbound_rpc_size=RPC_BYTES_MAX,
            allowed_topics={topic},
        )
        self._topic = topic
        self._judge = judge

    async def continuously_read_stream(self, stream: Any) -> None:
        """Handles what one peer sends until its stream ends; raises PeerFault."""
        peer, reader = stream.muxed_conn.peer_id, RpcReader(stream, self._topic)
        try:
            while self.manager.is_running:
                await self._handle(peer, await reader.receive())
        except StreamEOF:
            return

    async def _handle(self, peer: Any, rpc: rpc_pb2.RPC) -> None:
        for subscription in rpc.subscriptions:
            self.handle_subscription(peer, subscription)
        for message in rpc.publish:
            await self.push_msg(peer, message)
        if rpc.HasField("control"):
            await self.router.handle_rpc(rpc, peer)

    async def push_msg(self, msg_forwarder: Any, msg: rpc_pb2.Message) -> None:
        """Takes in a message of this node or of a peer; raises PeerFault."""
        if self._is_msg_seen(msg):
            return
        is_own = msg_forwarder == self.my_id
        verdict = HeadVerdict.RELAYED if is_own else self._compute_verdict(msg)
        if verdict is HeadVerdict.WRONG:
            raise PeerFault("gossip: an announcement that cannot be right", WRONG_POINTS)
        self.notify_subscriptions(msg)
        if verdict is HeadVerdict.RELAYED:
            # Only these are noted as seen: a stranger cannot fill the table, nor make a right announcement
            # look old by sending it first under a wrong signature.
            self._mark_msg_seen(msg)
            await self.router.publish(msg_forwarder, msg)

    def _compute_verdict(self, message: rpc_pb2.Message) -> HeadVerdict:
        """Form and signature first (GossipSub's StrictSign), then what is announced."""
        is_well_formed = (
            len(message.data) <= HEAD_BYTES_MAX
            and len(message.seqno) == SEQUENCE_BYTES
            and is_peer_id(message.from_id)
            and message.from_id != self.my_id.to_bytes()
            and message.key in (b"", message.from_id[2:])
        )
        if not is_well_formed or not signature_validator(message):
            return HeadVerdict.WRONG
        return self._judge(message.data)


class BoundedRouter(GossipSub):  # type: ignore[misc]
    """GossipSub with every default that matters, which forgets the back-offs of peers that are gone.

    By default the heartbeat is two minutes, adaptive gossip slows it to one, eclipse protection wants peers
    with three IP addresses (a devnet has one), and the spam limit of 10 messages a second counts own ones.
    """

    def __init__(self) -> None:
        super().__init__(
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

    def remove_peer(self, peer_id: Any) -> None:
        """Forgets a peer, and the oldest back-offs above the bound."""
        super().remove_peer(peer_id)
        for waiting in self.back_off.values():
            while len(waiting) > BACK_OFFS_MAX:
                del waiting[next(iter(waiting))]


def compute_message_id(message: rpc_pb2.Message) -> bytes:
    """By content: the same head from two peers is one message."""
    return hash_bytes(Domain.HEADER, message.data)
