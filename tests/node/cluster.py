"""Clusters for node tests: whole nodes of one network in one process, over the in-memory network and real
stores.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import trio

from chain.genesis import ChainSpec, compute_genesis_hash
from chain.modules import beacon
from chain.primitives.codec import Record, encode
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash
from chain.runtime import build_call
from chain.spec_builder import GenesisValidator, build_spec
from chain.transaction import Transaction, sign_transaction
from node.app import Node, start_services
from node.duties.reveals import compute_chain_secret
from node.home.config import NodeConfig
from node.home.home import Home
from node.home.node_keys import Keys
from node.home.profiles import load_profile
from node.stores import Stores, open_stores
from p2p.identity import PeerAddress, compute_peer_id_of_seed
from p2p.memory import MemoryHub

VIDYA = 10**9
BEACON_LINKS = 2_000


@dataclass(frozen=True)
class Person:
    """An account with a key; a validator also has the node's keys."""

    number: int
    account: KeyPair = field(init=False)
    keys: Keys = field(init=False)

    def __post_init__(self) -> None:
        def seed(role: int) -> bytes:
            return bytes((role, self.number)) * 16

        account = KeyPair(seed(1))
        object.__setattr__(self, "account", account)
        keys = Keys(account.public_key, KeyPair(seed(2)), seed(3), KeyPair(seed(4)), seed(5))
        object.__setattr__(self, "keys", keys)

    @property
    def address(self) -> bytes:
        """The account."""
        return self.account.public_key

    def build_seat(self, bond: int) -> GenesisValidator:
        """The person as a validator of genesis; addresses are those a MemoryHub gives in the order of
        opening.
        """
        peer = compute_peer_id_of_seed(self.keys.network_seed)
        tip = beacon.compute_chain(compute_chain_secret(self.keys.beacon_secret, 0), BEACON_LINKS)
        address = str(PeerAddress("127.0.0.1", 1024 + self.number, peer))
        return GenesisValidator(
            self.address, self.keys.consensus.public_key, bond, 0, tip, BEACON_LINKS, peer, (address,)
        )


def build_cluster_spec(count: int, *, guests: Iterable[Person] = (), bond: int = 10_000 * VIDYA) -> ChainSpec:
    """`count` validators, persons 0.., each with as much again as its bond; guests own 1,000 VIDYA."""
    seats = [Person(number).build_seat(bond) for number in range(count)]
    accounts = [(seat.account, 2 * bond) for seat in seats]
    accounts += [(guest.address, 1_000 * VIDYA) for guest in guests]
    return build_spec(
        load_profile("minimal"), name="test", time_ms=1_767_225_600_000, seats=seats, accounts=accounts
    )


class OpenStores(Protocol):
    """How a node's stores are opened: `node.stores.open_stores`, or on a disk that fails."""

    def __call__(
        self, home: Home, consensus_key: bytes, *, is_new: bool
    ) -> AbstractContextManager[Stores]: ...


@asynccontextmanager
async def open_node(
    hub: MemoryHub,
    spec: ChainSpec,
    person: Person,
    path: Path,
    *,
    is_validator: bool = True,
    open_stores: OpenStores = open_stores,
) -> AsyncIterator[Node]:
    """A running node of the person, until the block ends (which is as abrupt as a cancellation)."""
    home = Home(path / f"node{person.number}")
    is_new = not home.store.exists()
    home.data.mkdir(parents=True, exist_ok=True)
    keys = person.keys if is_validator else Keys(None, *_node_keys(person.keys))
    genesis_hash = compute_genesis_hash(spec)
    with open_stores(home, keys.consensus.public_key, is_new=is_new) as stores:
        async with hub.open_network(keys.network_seed, genesis_hash) as network:
            node = Node(home, NodeConfig(), spec, keys, stores, network)
            async with trio.open_nursery() as nursery:
                await start_services(node, nursery)
                yield node
                nursery.cancel_scope.cancel()


def _node_keys(keys: Keys) -> tuple[KeyPair, Hash, KeyPair, Hash]:
    return keys.consensus, keys.network_seed, keys.duty, keys.beacon_secret


async def wait_for_height(node: Node, height: int, seconds_max: float = 60.0) -> None:
    """Until the node's head is at `height`; fails the test if it takes too long."""
    reached = trio.Event()

    def look(_: object) -> None:
        if node.ledger.height >= height:
            reached.set()

    node.replica.listeners.append(look)
    look(None)
    with trio.fail_after(seconds_max):
        await reached.wait()


def build_signed(node: Node, person: Person, *calls: Record, nonce: int | None = None, tip: int = 0) -> bytes:
    """A transaction of the person, as bytes for `pool.submit`."""
    transaction = Transaction(
        version=1,
        genesis_hash=node.ledger.genesis_hash,
        sender=person.address,
        nonce=node.ledger.get_nonce(person.address) if nonce is None else nonce,
        valid_until=node.ledger.height + 100,
        fee_max=VIDYA // 10,
        tip=tip,
        calls=tuple(build_call(call) for call in calls),
    )
    return encode(sign_transaction(person.account, transaction))
