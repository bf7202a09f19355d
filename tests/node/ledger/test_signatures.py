"""Each signature is verified once, and only good ones are remembered."""

import pytest

from chain import transaction
from chain.errors import InvalidTransaction
from chain.modules import balances, offences
from chain.primitives.codec import encode, replace
from chain.primitives.keys import KeyPair
from chain.transaction import compute_transaction_id, decode_identified
from chain.votes import VoteKind, build_duplicate_vote
from node.ledger import signatures
from node.ledger.ledger import Ledger
from node.ledger.signatures import INLINE_MAX, SignatureMemory
from node.mempool.admission import PoolAdmission
from storage.kv import MemoryStore
from tests.node.forge import ALICE, BOB, Forge, make_final

KEY = KeyPair(b"k" * 32)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages whose signatures were really verified."""
    seen: list[bytes] = []
    real = signatures.is_signed_by

    def count(public_key: bytes, message: bytes, signature: bytes) -> bool:
        seen.append(message)
        return real(public_key, message, signature)

    monkeypatch.setattr(signatures, "is_signed_by", count)
    return seen


def test_a_good_signature_is_verified_once(verified: list[bytes]) -> None:
    """The same key, message and signature are verified only the first time."""
    memory, signature = SignatureMemory(), KEY.sign(b"message")
    for _ in range(3):
        assert memory.verify(KEY.public_key, b"message", signature)
    assert verified == [b"message"]
    assert not memory.verify(KEY.public_key, b"other", signature)
    assert not memory.verify(ALICE.address, b"message", signature)
    assert not memory.verify(KEY.public_key, b"message", bytes(64))


def test_a_bad_signature_is_never_remembered(verified: list[bytes]) -> None:
    """Invalid signatures must not push out valid ones."""
    memory = SignatureMemory(remembered_max=1)
    good = KEY.sign(b"good")
    assert memory.verify(KEY.public_key, b"good", good)
    for number in range(3):
        assert not memory.verify(KEY.public_key, b"bad %d" % number, good)
    assert memory.verify(KEY.public_key, b"good", good)
    assert len(verified) == 4


def test_memory_is_bounded_and_forgets_the_oldest(verified: list[bytes]) -> None:
    """Forgetting costs a verification, never safety."""
    memory = SignatureMemory(remembered_max=2)
    messages = (b"one", b"two", b"three", b"one", b"three")
    for message in messages:
        assert memory.verify(KEY.public_key, message, KEY.sign(message))
    assert verified == [b"one", b"two", b"three", b"one"]


def test_fields_that_slide_into_each_other_do_not_pass(verified: list[bytes]) -> None:
    """Moving a byte from the signature to the message is not a remembered signature."""
    memory, signature = SignatureMemory(), KEY.sign(b"message")
    assert memory.verify(KEY.public_key, b"message", signature)
    assert not memory.verify(KEY.public_key, signature[-1:] + b"message", signature[:-1])


def test_evidence_is_verified_once_per_node(verified: list[bytes]) -> None:
    """The pool tries a duty, the proposer builds with it, everybody executes it: one memory serves them."""
    forge, memory = Forge(), SignatureMemory()
    offender = forge.people[1]
    votes = [forge.vote(offender, VoteKind.PREVOTE, block_hash) for block_hash in (b"a" * 32, b"b" * 32)]
    report = offences.Report(build_duplicate_vote(*votes))
    duty = forge.sign(ALICE, report, nonce=0, fee_max=0, valid_until=2)
    result = forge.build([duty])
    ledger = Ledger(MemoryStore(), forge.spec, check=memory.check, verify=memory.verify)
    PoolAdmission(ledger, memory.verify).check(duty.id, duty, duty.size_bytes)
    assert len(verified) == 2
    ledger.execute(result.block)
    assert len(verified) == 2


def test_a_transaction_is_encoded_and_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the pool through a block to its commit, the object that was decoded first keeps id and size."""
    forge, memory = Forge(1), SignatureMemory()
    data = encode(forge.sign(ALICE, balances.Send(BOB.address, 7)))
    tx_id, hashed = compute_transaction_id(data), list[bytes]()

    def count(data: bytes) -> bytes:
        hashed.append(data)
        return tx_id

    monkeypatch.setattr(transaction, "compute_transaction_id", count)
    signed = decode_identified(tx_id, data)
    ledger = Ledger(MemoryStore(), forge.spec, check=memory.check, verify=memory.verify)
    pooled = PoolAdmission(ledger, memory.verify).check(tx_id, signed, len(data))
    memory.check(pooled.signed)
    result = forge.build([pooled.signed])
    committed = make_final(ledger, ledger.execute(result.block), forge.certify(result.block_hash))
    assert committed.tx_ids == (tx_id,) and committed.block.transactions[0].size_bytes == len(data)
    assert hashed == []


@pytest.mark.parametrize("count", [INLINE_MAX - 1, 10 * INLINE_MAX])
async def test_a_batch_keeps_the_good_in_order(count: int) -> None:
    """Small batches are verified on the loop, large ones in a thread; both keep the order."""
    forge, memory = Forge(1), SignatureMemory()
    signed = [forge.sign(ALICE, balances.Burn(1), nonce=nonce) for nonce in range(count)]
    forged = forge.sign(BOB, balances.Burn(1)).signature
    batch = [replace(one, signature=forged) if place == 1 else one for place, one in enumerate(signed)]
    assert await memory.check_all(batch) == [signed[0], *signed[2:]]
    memory.check(signed[0])
    with pytest.raises(InvalidTransaction, match="bad_signature"):
        memory.check(batch[1])
