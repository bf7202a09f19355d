"""The protocols and their bounds on a peer. docs/spec/wire.md explains the numbers.

A rate is a ceiling against floods: several times what an honest peer needs.
"""

from chain import snapshot
from chain.content import MANIFEST_BYTES_MAX
from p2p.network import ProtocolSpec
from p2p.wire import messages

KIB = 2**10
MIB = 2**20

HELLO = ProtocolSpec(
    name="hello",
    version=2,
    frame_bytes_max=4 * KIB,
    streams_per_peer_max=2,
    frames_per_second_max=2,
    bytes_per_second_max=8 * KIB,
    frame_seconds_max=10.0,
    idle_seconds_max=10.0,
)

PING = ProtocolSpec(
    name="ping",
    version=1,
    frame_bytes_max=16,
    streams_per_peer_max=4,
    frames_per_second_max=10,
    bytes_per_second_max=KIB,
    frame_seconds_max=10.0,
    idle_seconds_max=60.0,
)

CONSENSUS = ProtocolSpec(
    name="consensus",
    version=1,
    frame_bytes_max=messages.BLOCK_BYTES_MAX + KIB,
    streams_per_peer_max=4,
    frames_per_second_max=2000,
    bytes_per_second_max=32 * MIB,
    kind_bytes_max={
        1: 2 * MIB,
        2: 128 * KIB,
        3: messages.SUMMARY_BYTES_MAX + KIB,
        4: 64 * KIB,
        5: 64 * KIB,
        6: 256 * KIB,
        7: 2 * MIB,
        8: KIB,
        9: messages.BLOCK_BYTES_MAX + KIB,
        127: KIB,
    },
)

POOL = ProtocolSpec(
    name="pool",
    version=1,
    frame_bytes_max=MIB,
    streams_per_peer_max=4,
    frames_per_second_max=500,
    bytes_per_second_max=16 * MIB,
    kind_bytes_max={1: 256 * KIB, 2: 256 * KIB, 3: MIB},
)

SYNC = ProtocolSpec(
    name="sync",
    version=1,
    frame_bytes_max=8 * MIB,
    streams_per_peer_max=4,
    frames_per_second_max=50,
    bytes_per_second_max=64 * MIB,
    idle_seconds_max=60.0,
    kind_bytes_max={1: 16, 2: KIB, 3: KIB, 4: 8 * MIB, 5: KIB, 6: 8 * MIB, 127: KIB},
)

SNAPSHOT = ProtocolSpec(
    name="snapshot",
    version=1,
    frame_bytes_max=snapshot.MANIFEST_BYTES_MAX + KIB,
    streams_per_peer_max=4,
    frames_per_second_max=50,
    bytes_per_second_max=64 * MIB,
    idle_seconds_max=60.0,
    kind_bytes_max={
        1: 16,
        2: KIB,
        3: 16,
        4: messages.LIGHT_BLOCK_BYTES_MAX + KIB,
        5: 64,
        6: snapshot.MANIFEST_BYTES_MAX + KIB,
        7: 64,
        8: snapshot.PART_BYTES_MAX + KIB,
        127: KIB,
    },
)

PEERS = ProtocolSpec(
    name="peers",
    version=1,
    frame_bytes_max=32 * KIB,
    streams_per_peer_max=2,
    frames_per_second_max=1,
    bytes_per_second_max=32 * KIB,
    frame_seconds_max=10.0,
    idle_seconds_max=10.0,
    kind_bytes_max={1: 16, 2: 32 * KIB, 127: KIB},
)

CONTENT = ProtocolSpec(
    name="content",
    version=2,
    frame_bytes_max=MANIFEST_BYTES_MAX + KIB,
    streams_per_peer_max=8,
    frames_per_second_max=4000,
    bytes_per_second_max=1024 * MIB,
    idle_seconds_max=300.0,
    kind_bytes_max={
        1: 256,
        2: KIB,
        3: 16,
        4: messages.BITMAP_BYTES_MAX + KIB,
        5: 16,
        6: MANIFEST_BYTES_MAX + KIB,
        7: 256,
        8: messages.CHUNK_BYTES_MAX + 2 * KIB,
        9: 16,
        10: 16,
        11: KIB,
        12: 64,
        13: 32,
        127: KIB,
    },
)
