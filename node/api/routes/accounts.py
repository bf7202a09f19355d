"""Accounts, and proofs of the state that a client checks by itself."""

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import StringConstraints

from chain.modules import balances, escrow, membership, sessions, staking
from chain.primitives.codec import encode
from chain.primitives.types import Address, Height
from chain.state import StateReader
from node.api.context import AddressPath, Api, ApiOf, ViewOf
from node.api.forms import format_record
from node.api.routes.blocks import require_header
from node.api.schemas import Account, Delegation, ProofEntry, Proven
from node.ledger.ledger import LedgerView

router = APIRouter(prefix="/v1", tags=["accounts"])

PROOF_KEYS_MAX = 64
DELEGATIONS_MAX = 256
KEY_BYTES_MAX = 128


@router.get("/accounts/{address}")
async def get_account(
    api: ApiOf,
    view: ViewOf,
    address: AddressPath,
    prove: Annotated[bool, Query(description="with proofs of what is stored under the account")] = False,
) -> Account:
    """All that the state says about an account."""
    who = api.parse_address(address)
    return _build_account(api, view, who, _prove_account(view, who) if prove else None)


def _list_delegations(api: Api, state: StateReader, who: Address) -> list[Delegation]:
    """By host, up to `DELEGATIONS_MAX` that count and as many that wait."""
    stores = (staking.DELEGATIONS, staking.WAITING_DELEGATIONS)
    hosts = [host for store in stores for host, _ in islice(store.items(state, who), DELEGATIONS_MAX)]
    return [
        Delegation(
            host=api.format_address(host),
            amount=staking.get_delegation(state, who, host),
            waiting=staking.get_waiting_delegation(state, who, host),
        )
        for host in sorted(set(hosts))
    ]


def _build_account(api: Api, view: LedgerView, who: Address, proof: Proven | None) -> Account:
    state, prefix = view.state, api.prefix
    stored, member = balances.get_account(state, who), membership.get_membership(state, who)
    return Account(
        address=api.format_address(who),
        height=view.height,
        nonce=stored.nonce,
        nonce_next=api.services.mempool.get_next_nonce(who, stored.nonce),
        balance=stored.free,
        withheld=escrow.get_withheld(state, who),
        bond=format_record(staking.get_ledger(state, who), prefix),
        delegations=_list_delegations(api, state, who),
        delegated_to=staking.get_pool(state, who).amount,
        membership=format_record(member, prefix) if member else None,
        standing=format_record(staking.get_standing(state, who), prefix),
        traffic=format_record(sessions.get_traffic(state, who), prefix),
        session_next=sessions.get_next_session_id(state, api.services.ledger.genesis_hash, who).hex(),
        proof=proof,
    )


def _prove_account(view: LedgerView, who: Address) -> Proven:
    return prove_keys(
        view,
        {
            "balances.accounts": balances.ACCOUNTS.key(who),
            "staking.ledgers": staking.LEDGERS.key(who),
            "staking.standings": staking.STANDINGS.key(who),
            "membership.memberships": membership.MEMBERSHIPS.key(who),
            "escrow.withheld": escrow.WITHHELD.key(who),
            "sessions.traffic": sessions.TRAFFIC.key(who),
        },
    )


@router.get("/proof")
async def get_proof(
    view: ViewOf,
    key: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{2})+$", max_length=2 * KEY_BYTES_MAX)]],
        Query(min_length=1, max_length=PROOF_KEYS_MAX, description="a state key, hex; may be repeated"),
    ],
) -> Proven:
    """The values at state keys at the head, or that there is none, with their proofs; named by their keys."""
    return prove_keys(view, {one: bytes.fromhex(one) for one in key})


def prove_keys(view: LedgerView, keys: dict[str, bytes]) -> Proven:
    """Values and proofs at the head, whose own header carries the root they lead to."""
    height: Height = view.height
    header, certificate = require_header(view, height), view.get_certificate(height)
    roster = view.get_roster(header.validators_hash)
    return Proven(
        height=height,
        header=encode(header).hex(),
        certificate=encode(certificate).hex() if certificate else None,
        roster=encode(roster).hex() if roster else None,
        entries=[_prove(view, name, key) for name, key in keys.items()],
    )


def _prove(view: LedgerView, name: str, key: bytes) -> ProofEntry:
    value = view.state.get(key)
    return ProofEntry(
        name=name,
        key=key.hex(),
        value=None if value is None else value.hex(),
        proof=encode(view.prove(key, view.height)).hex(),
    )
