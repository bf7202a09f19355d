"""Sampling possession proofs over a real node's API: what was shown is found, what is withheld is told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from chain.content import LEAF_BYTES
from chain.errors import ChainError
from chain.genesis import ChainSpec
from chain.light_sampling import DRAWS
from chain.modules import catalogue, possession
from chain.modules.possession import Prove
from chain.primitives.codec import decode, encode, replace
from chain.transaction import SignedTransaction
from cli.context.client import Client
from cli.light.client import LightClient, NodeApi, TrustFile
from cli.light.sampling import EpochOver, Sampler, describe_chances, find_epoch
from tests.chain.support.content_worlds import Content
from tests.node.api.test_api_server import open_server
from tests.node.api.world import ALICE, VALIDATOR, World
from tests.node.cluster import build_cluster_spec

pytestmark = pytest.mark.network

CONTENT = Content(1, 30 * LEAF_BYTES + 5)
LISTING = catalogue.ListDatum(CONTENT.files_hash, CONTENT.root, CONTENT.size, "Title", "text", (), "")
ENTROPY = b"e" * 32
T = TypeVar("T")


def build_spec() -> ChainSpec:
    """One validator, which hosts a datum from genesis on."""
    spec = build_cluster_spec(1, guests=(ALICE,))
    return replace(
        spec,
        catalogue=replace(spec.catalogue, listings=((VALIDATOR.address, LISTING),)),
        hosting=replace(spec.hosting, holdings=((VALIDATOR.address, (CONTENT.datum,)),)),
    )


def build_proof(world: World) -> SignedTransaction:
    """What is asked of the host, shown."""
    (duty,) = possession.list_open_duties(world.ledger.state, VALIDATOR.address)
    leaves = tuple(CONTENT.prove(place.leaf_index) for place in duty.challenges)
    return world.sign(ALICE, Prove(VALIDATOR.address, duty.epoch, leaves, None), nonce=0, fee_max=0)


class Scene:
    """A node that listens, and a light client without one."""

    def __init__(self, world: World, port: int, folder: Path) -> None:
        self.world, self.api = world, Client(f"http://127.0.0.1:{port}")
        self._folder = folder

    async def work(self, function: Callable[[NodeApi, LightClient], T], api: NodeApi | None = None) -> T:
        """Runs something that asks the node, in a thread."""
        asked = api or self.api
        now_ms = self.world.ledger.head.time_ms + 1
        file = TrustFile(self._folder, self.world.ledger.genesis_hash)
        client = LightClient(self.world.services.spec, asked, file, now_ms=lambda: now_ms)
        return await trio.to_thread.run_sync(function, asked, client)


@asynccontextmanager
async def open_scene(folder: Path, *, has_proof: bool = True) -> AsyncIterator[Scene]:
    """The first epoch is judged; the host has shown its leaves in block 2, or not at all."""
    async with open_server(build_spec()) as (world, port):
        world.make_block()
        if has_proof:
            world.make_block(build_proof(world))
        while (possession.get_judgement(world.ledger.state)) is None:
            world.make_block()
        yield Scene(world, port, folder)


def run(api: NodeApi, client: LightClient) -> dict[str, Any]:
    """A sample of the epoch that was judged."""
    epoch = find_epoch(api, client)
    assert epoch is not None
    return Sampler(api, client, epoch).run(ENTROPY)


async def test_what_was_shown_is_found(tmp_path: Path) -> None:
    """All sixteen draws lead to a leaf in a final block, without a node of one's own."""
    async with open_scene(tmp_path) as scene:
        found = await scene.work(run)
    assert (found["epoch"], found["hosts"], len(found["draws"])) == (0, 1, DRAWS)
    assert {(one["outcome"], one["height"]) for one in found["draws"]} == {("shown", 2)}
    assert len({one["leaf"] for one in found["draws"]}) > 1


async def test_a_miss_is_what_the_chain_says(tmp_path: Path) -> None:
    """A host that showed nothing was judged so: that is no lack of a proof."""
    async with open_scene(tmp_path, has_proof=False) as scene:
        found = await scene.work(run)
    assert {one["outcome"] for one in found["draws"]} == {"missed"}


class Liar:
    """A node between us and the real one, that changes or withholds answers."""

    def __init__(self, api: NodeApi, change: Callable[[str, Any], Any]) -> None:
        self.url, self._api, self._change = api.url, api, change

    def get(self, path: str, **parameters: Any) -> Any:
        """The changed answer."""
        return self._change(path, self._api.get(path, **parameters))


def spoil_leaf(path: str, answer: Any) -> Any:
    if "transaction" not in answer:
        return answer
    signed = decode(SignedTransaction, bytes.fromhex(answer["transaction"]))
    return {**answer, "transaction": encode(replace(signed, signature=bytes(64))).hex()}


def other_height(path: str, answer: Any) -> Any:
    return {**answer, "height": 3} if "transaction" in answer else answer


def nonsense(path: str, answer: Any) -> Any:
    return {"height": "x"} if "transaction" in answer else answer


@pytest.mark.parametrize("change", [spoil_leaf, other_height, nonsense])
async def test_what_is_not_the_proof_is_told(tmp_path: Path, change: Any) -> None:
    """The draw is not shown, and the reason is said."""
    async with open_scene(tmp_path) as scene:
        found = await scene.work(run, Liar(scene.api, change))
    assert {one["outcome"] for one in found["draws"]} == {"not_shown"}
    assert all(one["reason"] for one in found["draws"])


def hide_hosts(path: str, answer: Any) -> Any:
    return {**answer, "hosts": []} if path == "/v1/possession" else answer


def deny_value(path: str, answer: Any) -> Any:
    if path == "/v1/proof":
        for entry in answer["entries"]:
            entry["value"] = None
    return answer


@pytest.mark.parametrize("change", [hide_hosts, deny_value])
async def test_lies_about_the_state_are_seen(tmp_path: Path, change: Any) -> None:
    """Who is judged, and what is asked of him, is proven; a node that says otherwise is refused."""
    async with open_scene(tmp_path) as scene:
        with pytest.raises(ChainError):
            await scene.work(run, Liar(scene.api, change))


async def test_an_epoch_that_is_over_or_not_judged_is_not_sampled(tmp_path: Path) -> None:
    """Rows of an epoch are provable while it lasts; before its deadline there is nothing to look at."""
    async with open_scene(tmp_path) as scene:
        while scene.world.ledger.height < 11:
            scene.world.make_block()
        assert await scene.work(find_epoch) is None
        with pytest.raises(EpochOver):
            await scene.work(lambda api, client: Sampler(api, client, 0).run(ENTROPY))


async def test_the_api_knows_only_what_is_final(tmp_path: Path) -> None:
    """No proof in this epoch: not found; another account: not found; pages of hosts by epoch."""
    async with open_scene(tmp_path, has_proof=False) as scene:

        def ask(api: NodeApi, _: LightClient) -> tuple[Any, str]:
            owing = api.get("/v1/possession")
            with pytest.raises(Exception, match="has shown nothing") as caught:
                api.get(f"/v1/possession/0/{owing['hosts'][0]}")
            return owing, getattr(caught.value, "code", "")

        owing, code = await scene.work(ask)
    assert (owing["epoch"], len(owing["hosts"]), owing["next"], code) == (0, 1, None, "not_found")


def test_chances_are_those_of_independent_draws() -> None:
    """(1 - p)^n, said in percent."""
    assert describe_chances(16) == {"1 %": "85 %", "5 %": "44 %", "10 %": "19 %", "25 %": "1 %"}
    assert describe_chances(160)["5 %"] == "0.027 %"
