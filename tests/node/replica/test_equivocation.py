"""Two nodes with one consensus key: their double signature comes on chain once and ends the validator."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chain.modules import staking, validators
from chain.primitives.types import Address
from chain.runtime import decode_event
from node.app import Node
from node.home.node_keys import Keys
from node.replica.signing.policy import SigningPolicy
from tests.node.cluster import MemoryHub, Person, build_cluster_spec, open_node, wait_for_height
from tests.node.test_cluster import wait_for_all

TWIN = 77


class Twin(Person):
    """Person 3's account and consensus key on another machine: other network identity, other folder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        original, own = Person(3), self.keys
        keys = Keys(
            original.address, original.keys.consensus, own.network_seed, own.duty, original.keys.beacon_secret
        )
        object.__setattr__(self, "account", original.account)
        object.__setattr__(self, "keys", keys)


def list_events(node: Node, name: str) -> list[object]:
    """All events of that name so far."""
    found = []
    for height in range(1, node.ledger.height + 1):
        receipts = node.ledger.get_receipts(height)
        assert receipts is not None
        transactions = (event for receipt in receipts.transactions for event in receipt.events)
        for record in (*receipts.start, *transactions, *receipts.end):
            event_name, event = decode_event(record)
            if event_name == name:
                found.append(event)
    return found


def silence_guard(monkeypatch: pytest.MonkeyPatch, offender: Address) -> None:
    """Makes the nodes of this account sign everything they are asked to, as if they had no guard."""
    may_sign, sign, apply = SigningPolicy.may_sign, SigningPolicy.sign, SigningPolicy._apply

    def is_offender(policy: SigningPolicy) -> bool:
        return policy._signer is not None and policy._signer.address == offender

    monkeypatch.setattr(
        SigningPolicy, "may_sign", lambda self, height: is_offender(self) or may_sign(self, height)
    )
    monkeypatch.setattr(
        SigningPolicy,
        "sign",
        lambda self, message, make: make() if is_offender(self) else sign(self, message, make),
    )
    monkeypatch.setattr(
        SigningPolicy, "_apply", lambda self, change: None if is_offender(self) else apply(self, change)
    )


@pytest.mark.timeout(120)
async def test_the_double_signature_is_slashed_and_tombstoned_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Honest nodes find the evidence and bring it on chain; it costs the bond once, and blocks go on."""
    spec, hub = build_cluster_spec(4), MemoryHub()
    offender = Person(3).address
    silence_guard(monkeypatch, offender)
    async with AsyncExitStack() as stack:
        persons = [Person(0), Person(1), Person(2), Person(3), Twin(TWIN)]
        nodes = [
            await stack.enter_async_context(open_node(hub, spec, person, tmp_path)) for person in persons
        ]
        honest = nodes[:3]
        bonded = staking.get_bond(honest[0].ledger.state, offender)
        for _ in range(100):
            await wait_for_height(honest[0], honest[0].ledger.height + 2)
            if staking.is_tombstoned(honest[0].ledger.state, offender):
                break
        await wait_for_all(honest, honest[0].ledger.height + 10)
        assert staking.is_tombstoned(honest[0].ledger.state, offender)
        assert len(list_events(honest[0], "offences.EquivocationProven")) == 1
        assert staking.get_bond(honest[0].ledger.state, offender) < bonded
        current = validators.get_current(honest[0].ledger.state)
        assert offender not in [validator.address for validator in current.validators]
