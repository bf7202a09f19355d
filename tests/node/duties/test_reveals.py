"""Finding the next link of the beacon chain that the state names."""

import pytest

from chain.modules.beacon import Chain, compute_chain, compute_link
from chain.primitives.hashing import Domain, hash_bytes
from node.duties import reveals as reveals_module
from node.duties.reveals import Reveals, compute_chain_secret

SECRET = b"s" * 32
LINKS = 600


def build_chain(number: int, revealed: int = 0) -> Chain:
    """A chain of the secret with this many links left."""
    secret = compute_chain_secret(SECRET, number)
    tip = compute_link(secret, LINKS, revealed - 1) if revealed else compute_chain(secret, LINKS)
    return Chain(tip, LINKS - revealed, 0)


@pytest.mark.parametrize("number", [0, 3])
def test_every_link_leads_to_the_one_before(number: int) -> None:
    """From the tip down to the secret; then no link is left."""
    reveals, chain = Reveals(SECRET), build_chain(number)
    for _ in range(LINKS):
        link = reveals.get_next_link(chain)
        assert link is not None
        assert hash_bytes(Domain.BEACON_LINK, link) == chain.tip
        chain = Chain(link, chain.links - 1, 0)
    assert chain.tip == compute_chain_secret(SECRET, number)
    assert reveals.get_next_link(chain) is None


@pytest.mark.parametrize("revealed", [1, 255, 256, 257, LINKS - 1])
def test_a_chain_in_the_middle_is_found_after_a_restart(revealed: int) -> None:
    """Nothing but the secret is on disk."""
    chain = build_chain(2, revealed)
    link = Reveals(SECRET).get_next_link(chain)
    assert link == compute_link(compute_chain_secret(SECRET, 2), LINKS, revealed)


def test_a_renewed_chain_is_found_when_it_comes_into_use() -> None:
    """It has the number after the one used before; older numbers are not tried again."""
    reveals = Reveals(SECRET)
    assert reveals.get_next_link(build_chain(1)) is not None
    assert reveals.get_next_link(build_chain(2)) is not None
    assert reveals.get_next_link(build_chain(2, 5)) is not None


def test_a_foreign_chain_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search hashes a whole chain for every number, so its negative answer is remembered."""
    monkeypatch.setattr(reveals_module, "CHAINS_MAX", 3)
    reveals, foreign = Reveals(SECRET), Chain(b"t" * 32, LINKS, 0)
    assert reveals.get_next_link(foreign) is None
    monkeypatch.setattr(reveals_module, "compute_checkpoints", None)
    assert reveals.get_next_link(foreign) is None
    assert reveals.get_next_link(None) is None
    assert reveals.get_next_link(Chain(b"u" * 32, 0, 0)) is None
