"""Worlds with hosts of real bytes: blocks run the hooks in the order of the runtime."""

from collections.abc import Iterable
from functools import cached_property
from random import Random

from chain.content.manifest import compute_listed_id
from chain.content.tree import (
    LEAF_BYTES,
    LeafProof,
    compute_content_root,
    compute_leaf_hashes,
    compute_levels,
    compute_path,
)
from chain.module import Context
from chain.modules import beacon, catalogue, hosting, membership, possession, staking, system
from chain.modules.hosting import RegisterHost, RegisterSubset
from chain.modules.possession import Duty, Prove, ProvenLeaf
from chain.primitives.codec import Record, replace
from chain.primitives.types import Address, Hash
from tests.chain.support.worlds import (
    BEACON,
    CATALOGUE,
    HOSTING,
    MEMBERSHIP,
    POSSESSION,
    SYSTEM,
    VIDYA,
    World,
    account,
)

LISTER, MEMBER = account(201), account(202)
BOND = 100 * VIDYA
CHECKS = tuple(module.check_invariants for module in (catalogue, hosting, possession, membership))


class Content:
    """Some bytes, their tree and their listing; listed with a root of zeros if there are no bytes."""

    def __init__(self, number: int, size: int, *, has_bytes: bool = True) -> None:
        self.files_hash: Hash = Random(number).randbytes(32)
        self.size = size
        self.number = number
        self.has_bytes = has_bytes

    @cached_property
    def data(self) -> bytes:
        return Random(-1 - self.number).randbytes(self.size)

    @cached_property
    def levels(self) -> list[list[Hash]]:
        return compute_levels(compute_leaf_hashes(self.data))

    @cached_property
    def root(self) -> Hash:
        return compute_content_root(self.levels[-1][0], self.size) if self.has_bytes else bytes(32)

    @cached_property
    def datum(self) -> Hash:
        return compute_listed_id(self.files_hash, self.size, self.root)

    def prove(self, index: int) -> ProvenLeaf:
        """A leaf with its Merkle proof."""
        leaf = self.data[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]
        return ProvenLeaf(leaf, LeafProof(compute_path(self.levels, index)))


class ContentWorld(World):
    """A world with the modules that possession needs; `changes` are to its parameters."""

    def __init__(self, hosts: Iterable[Address], **changes: int) -> None:
        owned = dict.fromkeys((*hosts, MEMBER), 1_000 * VIDYA) | {LISTER: 100_000 * VIDYA}
        super().__init__(owned, checks=CHECKS)
        self.contents: dict[Hash, Content] = {}
        self.events: list[Record] = []
        ctx = self.context()
        beacon.build_genesis(ctx, beacon.GenesisConfig(BEACON))
        catalogue.build_genesis(ctx, catalogue.GenesisConfig(CATALOGUE))
        hosting.build_genesis(ctx, hosting.GenesisConfig(HOSTING))
        possession.build_genesis(ctx, possession.GenesisConfig(replace(POSSESSION, **changes)))
        membership.build_genesis(ctx, membership.GenesisConfig(MEMBERSHIP, (MEMBER,)))
        self.start_block()

    def start_block(self) -> None:
        """Begin the next block, as the runtime does."""
        self.height += 1
        ctx = self.context()
        possession.on_block_start(ctx)
        hosting.on_block_start(ctx)
        if self.height == system.compute_first_height(SYSTEM, ctx.epoch):
            hosting.on_epoch_start(ctx)
            possession.on_epoch_start(ctx)
        self._finish(ctx)

    def end_block(self) -> None:
        """End the block that began, as the runtime does."""
        ctx = self.context()
        if system.is_epoch_end(SYSTEM, self.height):
            beacon.on_epoch_end(ctx)
        hosting.on_block_end(ctx)
        system.on_block_end(ctx)
        self._finish(ctx)

    def _finish(self, ctx: Context) -> None:
        self.events.extend(ctx.events)
        self.check()

    def go_to_height(self, height: int) -> list[Record]:
        """Run blocks until the one at `height` has begun; returns what the hooks said on the way."""
        self.events.clear()
        while self.height < height:
            self.end_block()
            self.start_block()
        return list(self.events)

    def go_to_epoch(self, epoch: int) -> None:
        """Run blocks until the first one of an epoch has begun."""
        self.go_to_height(system.compute_first_height(SYSTEM, epoch))

    def go_to_deadline(self) -> list[Record]:
        """Run blocks until this epoch has been judged; returns what the hooks said on the way."""
        round_ = possession.get_round(self.state)
        assert round_ is not None
        return self.go_to_height(round_.deadline)

    @property
    def epoch(self) -> int:
        return self.context().epoch

    def list_content(self, content: Content) -> Hash:
        """Put content into the catalogue."""
        call = catalogue.ListDatum(content.files_hash, content.root, content.size, "a title", "text", (), "")
        self.call(catalogue.list_datum, LISTER, call)
        self.contents[content.datum] = content
        return content.datum

    def host(self, who: Address, *datums: Hash) -> None:
        """Make `who` a bonded host of datums, which take effect two epochs later."""
        if hosting.get_host(self.state, who) is None:
            self.call(staking.calls.bond, who, staking.Bond(BOND))
            self.call(
                hosting.calls.register_host, who, RegisterHost(b"peer", ("/ip4/127.0.0.1/tcp/1",), 1_000)
            )
        if datums:
            self.call(hosting.calls.register_subset, who, RegisterSubset(datums, ()))

    def get_duties(self, who: Address) -> tuple[Duty, ...]:
        """The duties that the host's node sees between the last block and this one."""
        system.POSITION.set(self.state, system.Position(self.height - 1, 0, 1))
        return possession.list_open_duties(self.state, who)

    def build_proof(self, who: Address, demanded: Hash | None = None) -> Prove:
        """The correct proof of the leaves that a host owes now."""
        places = possession.get_challenges(self.state, who, self.epoch, demanded)
        leaves = tuple(self.contents[place.datum].prove(place.leaf_index) for place in places)
        return Prove(who, self.epoch, leaves, demanded)

    def prove(self, who: Address, demanded: Hash | None = None) -> list[Record]:
        """Send the correct proof."""
        return self.call(possession.calls.prove, who, self.build_proof(who, demanded))


def build_hosts(number: int) -> list[Address]:
    """So many addresses, in order."""
    return [account(index) for index in range(1, number + 1)]
