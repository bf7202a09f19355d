"""Each signature is verified once, and only good ones are remembered."""

import pytest

from chain.errors import InvalidTransaction
from chain.modules import balances
from chain.primitives.codec import replace
from chain.primitives.keys import KeyPair
from node.ledger import signatures
from node.ledger.signatures import INLINE_MAX, SignatureMemory
from tests.node.forge import ALICE, BOB, Forge

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
    """Whoever asks again, for the very same key, message and signature."""
    memory, signature = SignatureMemory(), KEY.sign(b"message")
    for _ in range(3):
        assert memory.verify(KEY.public_key, b"message", signature)
    assert verified == [b"message"]
    assert not memory.verify(KEY.public_key, b"other", signature)
    assert not memory.verify(ALICE.address, b"message", signature)
    assert not memory.verify(KEY.public_key, b"message", bytes(64))


def test_a_bad_signature_is_never_remembered(verified: list[bytes]) -> None:
    """Junk must not push out what is good."""
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
    """A message that begins with what was the end of the signature is another one."""
    memory, signature = SignatureMemory(), KEY.sign(b"message")
    assert memory.verify(KEY.public_key, b"message", signature)
    assert not memory.verify(KEY.public_key, signature[-1:] + b"message", signature[:-1])


@pytest.mark.parametrize("count", [INLINE_MAX - 1, 10 * INLINE_MAX])
async def test_a_batch_keeps_the_good_in_order(count: int) -> None:
    """In the loop if there are few, in a thread if there are many."""
    forge, memory = Forge(1), SignatureMemory()
    signed = [forge.sign(ALICE, balances.Burn(1), nonce=nonce) for nonce in range(count)]
    forged = forge.sign(BOB, balances.Burn(1)).signature
    batch = [replace(one, signature=forged) if place == 1 else one for place, one in enumerate(signed)]
    assert await memory.check_all(batch) == [signed[0], *signed[2:]]
    memory.check(signed[0])
    with pytest.raises(InvalidTransaction, match="bad_signature"):
        memory.check(batch[1])
