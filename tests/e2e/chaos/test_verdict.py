"""The judge of a chaos run is no use if it sees nothing: each kind of fault is put before it."""

from contextlib import closing
from pathlib import Path

import pytest

from chain.modules import balances
from chain.primitives.types import Hash
from chain.votes import VoteKind, get_vote_signing_bytes
from node.home.home import Home
from node.ledger.ledger import Ledger
from storage.kv import LevelDbStore, Prefix
from storage.sign_log import SignLog
from storage.sign_state import SignStep
from tests.e2e.audit.signatures import Audit
from tests.e2e.chaos.verdict import judge
from tests.e2e.harness import Node
from tests.node.forge import ALICE, BOB, Forge, make_final

OTHER: Hash = b"\x07" * 32


class Scene:
    """Two nodes that stopped with the same chain, and all that they signed in their logs."""

    def __init__(self, path: Path) -> None:
        self.forge = Forge(2)
        self.nodes = [Node(Home(path / f"node{number}")) for number in range(2)]
        self.left, self.kept = Audit(), Audit()
        self.final: dict[str, int] = {}
        for node in self.nodes:
            node.home.data.mkdir(parents=True)
        for _ in range(3):
            self.grow(self.nodes)

    def grow(self, nodes: list[Node], *, gap_ms: int = 10, forge: Forge | None = None) -> None:
        """One more block with a transfer, signed by both validators."""
        made = forge or self.forge
        result = made.build([made.sign(ALICE, balances.Send(BOB.address, 1))], gap_ms=gap_ms)
        for number in range(2):
            self.sign(number, result.block_hash, forge=made)
        committed = made.commit(result)
        self.final |= {tx_id.hex(): made.ledger.height for tx_id in committed.tx_ids}
        for node in nodes:
            with closing(LevelDbStore(node.home.store)) as store:
                ledger = Ledger(store, made.spec)
                make_final(ledger, ledger.execute(committed.block), committed.certificate)

    def sign(self, number: int, block_hash: Hash, forge: Forge | None = None) -> None:
        """A precommit for the next height goes into the log of the validator that the node is."""
        made = forge or self.forge
        person = made.people[number]
        signed = made.vote(person, VoteKind.PRECOMMIT, block_hash)
        message = get_vote_signing_bytes(made.genesis_hash, signed.vote)
        with SignLog(self.nodes[number].home.sign_log, person.keys.consensus.public_key) as log:
            log.append(signed.vote.height, 0, SignStep.PRECOMMIT, message, signed.signature)

    def list_faults(self) -> list[str]:
        """What does not hold."""
        found = judge(self.nodes, self.forge.spec, self.final, self.left, self.kept)
        assert len(found) == 4
        return [finding.what for finding in found if not finding.holds]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Three blocks."""
    return Scene(tmp_path)


def test_equal_disks_are_well(scene: Scene) -> None:
    """Also where one of the two has not got the last block yet."""
    assert scene.list_faults() == []
    final = dict(scene.final)
    scene.grow(scene.nodes[:1])
    scene.final = final
    assert scene.list_faults() == []


def test_a_fork_is_seen(scene: Scene, tmp_path: Path) -> None:
    """Two blocks at one height: and whoever voted for both has signed twice."""
    other = Forge(2)
    for _ in range(3):
        result = other.build([other.sign(ALICE, balances.Send(BOB.address, 1))])
        other.commit(result)
    scene.grow(scene.nodes[:1])
    scene.final = {}
    scene.grow(scene.nodes[1:], gap_ms=20, forge=other)
    scene.final = {}
    assert scene.list_faults() == ["no fork", "no second signature"]


def test_a_lost_transaction_is_seen(scene: Scene) -> None:
    """One that no chain has, one at another height, one that only one node has."""
    known, height = next(iter(scene.final.items()))
    for promise in ({OTHER.hex(): 1}, {known: height + 1}):
        scene.final = promise
        assert scene.list_faults() == ["no final transaction lost"]
    scene.final = {}
    scene.grow(scene.nodes[:1])
    assert scene.list_faults() == ["no final transaction lost"]


def test_money_from_nowhere_is_seen(scene: Scene) -> None:
    """A balance that no block made."""
    with closing(LevelDbStore(scene.nodes[1].home.store)) as store:
        key = bytes((Prefix.STATE_VALUE,)) + balances.ACCOUNTS.key(BOB.address)
        rich = store.get(bytes((Prefix.STATE_VALUE,)) + balances.ACCOUNTS.key(ALICE.address))
        store.write_batch([(key, rich)])
    assert scene.list_faults() == ["stores whole, supply exact"]


def test_a_second_signature_is_seen(scene: Scene) -> None:
    """In one log, on a disk alone, or heard and in no log."""
    precommit = scene.forge.vote(scene.forge.people[0], VoteKind.PRECOMMIT, OTHER).vote
    scene.kept.note(precommit)
    assert scene.list_faults() == []
    scene.left.note(precommit)
    assert scene.list_faults() == ["no second signature"]
    scene.sign(0, OTHER)
    assert scene.list_faults() == []
    scene.sign(0, Hash(b"\x08" * 32))
    assert scene.list_faults() == ["no second signature"]
