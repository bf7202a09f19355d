"""Transactions in words: every call has a sentence or its fields, and every sentence names a call."""

from pathlib import Path

import pytest

from chain.modules.balances import Send
from chain.modules.hosting import RegisterSubset
from chain.modules.schedule import MODULES
from chain.modules.staking import Bond
from chain.primitives.addresses import encode_address
from cli.context.client import Client
from cli.context.network import NetworkContext
from cli.terminal.options import build_settings
from cli.transactions.describing import SENTENCES, Describer, Effect
from node.home.profiles import load_profile

WHO = bytes(range(32))


@pytest.fixture
def describer(tmp_path: Path) -> Describer:
    """Tells the calls of alice on the devnet profile; the node behind it is never asked."""
    network = NetworkContext(build_settings({"home": str(tmp_path)}), Client("http://127.0.0.1:9"))
    network.__dict__["spec"] = load_profile("devnet")
    return Describer(network, "alice")


def test_sentences_name_calls_of_the_chain() -> None:
    """A call that is renamed takes its sentence along."""
    names = {f"{module.name}.{spec.name}" for module in MODULES for spec in module.calls.values()}
    assert set(SENTENCES) - names == set()


def test_an_unknown_recipient_is_shown_whole(describer: Describer) -> None:
    """Who has no name in the wallet is told by the whole address: a short one could be somebody else's."""
    address = encode_address("vdev", WHO)
    assert describer.describe(Send(WHO, 1500 * 10**9)) == f"Send 1,500 VIDYA  alice -> {address}"


def test_cost_names_fee_bound_tip_and_rest(describer: Describer) -> None:
    """All in the token, which was named in the line above."""
    cost = describer.describe_cost(Effect(199_000, 398_000, 5, 999_987_499_801_000, []))
    assert cost == "fee 0.000199 (at most 0.000398), tip 0.000000005, left 999,987.499801"


def test_losses_name_their_share(describer: Describer) -> None:
    """What makes one lose stake, and how much, by the parameters of the network; each once."""
    bond, subset = Bond(10**9), RegisterSubset((WHO,), ())
    lost = describer.list_losses([bond, subset, bond])
    assert len(lost) == 2 and "two votes" in lost[0] and "not proven" in lost[1]
    assert all("% of the stake" in one for one in lost)
    assert describer.list_losses([Send(WHO, 1)]) == []
