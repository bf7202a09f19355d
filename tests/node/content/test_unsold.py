"""The content service and sampled chunks: refused without a charge, sold again in time; a host without a disk
misses its proofs.
"""

from pathlib import Path

import pytest

from chain.content import CHUNK_BYTES, CHUNK_LEAVES, compute_datum_id
from chain.modules import possession
from p2p.network import Stream
from p2p.wire.messages import ChunkReply, NotForSale
from storage.content.store import ContentStore
from tests.node.cluster import Person
from tests.node.content.serving_scene import CHUNKS, SIZE, Scene, build_scene, fetch

ALL = tuple(range(CHUNKS))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Three hosts, for whose datum the rule holds; the first one sells."""
    return build_scene(tmp_path, 3, unsold_bytes_min=CHUNK_BYTES)


def list_owed(scene: Scene, *persons: Person) -> set[int]:
    """The chunks in which the leaves lie that hosts owe."""
    return {one.leaf_index // CHUNK_LEAVES for who in persons for one in scene.chain.list_sampled(who)}


async def ask_all(stream: Stream) -> tuple[set[int], list[NotForSale]]:
    """Asks for every chunk; the chunks that came, and the refusals."""
    replies = await fetch(stream, *ALL)
    came = {one.chunk for one in replies if isinstance(one, ChunkReply)}
    return came, [one for one in replies if isinstance(one, NotForSale)]


async def test_sampled_chunks_of_other_hosts_are_refused_alone(scene: Scene) -> None:
    """The others are sold, also those of the seller's own leaves; each refusal says in how many seconds."""
    chain = scene.chain
    chain.go_before_epoch()
    chain.grow()
    unsold = list_owed(scene, *chain.hosts[1:])
    async with scene.open() as (host, client), scene.open_paid(host, client) as stream:
        came, refusals = await ask_all(stream)
    assert came == set(ALL) - unsold != set()
    assert refusals == [NotForSale(chunk, 1, is_whole=False) for chunk in sorted(unsold)]


async def test_a_refused_chunk_is_not_charged_and_comes_after_the_deadline(scene: Scene) -> None:
    """One voucher for the size of the datum pays every chunk in the end."""
    chain = scene.chain
    chain.go_before_epoch()
    async with scene.open() as (host, client), scene.open_paid(host, client) as stream:
        came, refusals = await ask_all(stream)
        assert refusals
        chain.go_to_deadline()
        rest = await fetch(stream, *(one.chunk for one in refusals))
        assert {one.chunk for one in rest} | came == set(ALL)
        assert sum(len(one.content) for one in rest) == SIZE - sum(
            min(CHUNK_BYTES, SIZE - chunk * CHUNK_BYTES) for chunk in came
        )


async def test_nothing_is_sold_while_the_seed_is_made(scene: Scene) -> None:
    """In the pause before an epoch every chunk is refused, and the refusal says that it is about all."""
    scene.chain.go_before_epoch(1)
    async with scene.open() as (host, client), scene.open_paid(host, client) as stream:
        assert await ask_all(stream) == (set(), [NotForSale(chunk, 1, is_whole=True) for chunk in ALL])


async def test_a_chunk_that_was_sold_is_sent_again_at_any_time(scene: Scene) -> None:
    """What was lost on the way was bought before anybody knew the leaves."""
    async with scene.open() as (host, client):
        scene.chain.go_before_epoch(2)
        async with scene.open_paid(host, client) as stream:
            await fetch(stream, 0, 1)
        scene.chain.grow()
        async with scene.open_granted(host, client) as stream:
            (again,) = await fetch(stream, 1, is_again=True)
            assert isinstance(again, ChunkReply)
            (other,) = await fetch(stream, 2)
            assert isinstance(other, NotForSale)


async def test_a_proof_frees_the_chunk_at_once(scene: Scene) -> None:
    """Once the others have proven, the host sells everything, long before the deadline."""
    chain = scene.chain
    chain.go_before_epoch()
    chain.grow()
    async with scene.open() as (host, client), scene.open_paid(host, client) as stream:
        for person in chain.hosts[1:]:
            chain.prove(person, host.store.read_leaf)
        came, refusals = await ask_all(stream)
    assert (came, refusals) == (set(ALL), [])


@pytest.mark.parametrize("is_protected", [True, False])
async def test_a_host_without_a_disk_misses_its_proofs(tmp_path: Path, is_protected: bool) -> None:
    """From the moment that the seed is known until the deadline, no honest host sells it a chunk that it
    needs, and the chain finds that it missed. Without the rule it buys four chunks and proves.
    """
    scene = build_scene(tmp_path, 3, unsold_bytes_min=CHUNK_BYTES if is_protected else 2**40)
    chain, (seller, other, ghost) = scene.chain, scene.chain.hosts
    chain.go_before_epoch()
    async with scene.open() as (host, client), scene.open_paid(host, client) as stream:
        bought = {one.chunk: one for one in await fetch(stream, *ALL) if isinstance(one, ChunkReply)}
        chain.grow()
        needed = list_owed(scene, ghost)
        for person in (seller, other):
            chain.prove(person, host.store.read_leaf)
            missing = needed - bought.keys()
            replies = await fetch(stream, *sorted(missing)) if missing else []
            bought |= {one.chunk: one for one in replies if isinstance(one, ChunkReply)}
        assert needed & bought.keys() == (set() if is_protected else needed)
        if not is_protected:
            prove_bought(scene, ghost, tmp_path / "ghost", list(bought.values()))
        chain.go_to_deadline()
        judged = possession.get_judgement(chain.ledger.state)
        assert judged is not None
        assert judged.missed == ((ghost.address,) if is_protected else ())
        late = await fetch(stream, *sorted(needed - bought.keys())) if is_protected else []
        assert all(isinstance(one, ChunkReply) for one in late), "too late for the proof, they are sold"


def prove_bought(scene: Scene, ghost: Person, path: Path, bought: list[ChunkReply]) -> None:
    """Proves with leaves of chunks that were bought."""
    with ContentStore(path, 2**30) as disk:
        disk.begin(scene.manifest)
        for one in bought:
            disk.write_chunk(compute_datum_id(scene.manifest), one.chunk, one.content, one.proof)
        scene.chain.prove(ghost, disk.read_leaf)
