"""Validators and hosts: who they are, what they hold, how they did."""

from fastapi import APIRouter

from chain.modules import hosting, possession, staking, validators
from chain.primitives.types import Address
from chain.validator_set import Validator, compute_proposer, compute_total_power, get_priority
from node.api.context import AddressPath, Api, ApiOf, Cursor, Limit, ViewOf, read_page
from node.api.errors import NotFound
from node.api.forms import Json, format_record
from node.api.schemas import Host, Hosts, Validators
from node.ledger.ledger import LedgerView
from p2p.identity import format_peer

router = APIRouter(prefix="/v1", tags=["hosts"])


@router.get("/validators")
async def get_validators(api: ApiOf, view: ViewOf, after: Cursor = "", limit: Limit = 100) -> Validators:
    """The set that decides the next height, and candidates in pages."""
    current = validators.get_current(view.state)
    proposer = compute_proposer(current, 0).address
    page = read_page(view, validators.CANDIDATES, after=after, limit=limit)
    return Validators(
        height=view.height + 1,
        total_power=compute_total_power(current),
        validators=[
            _format_validator(api, member, member.address == proposer) for member in current.validators
        ],
        candidates=[_format_candidate(api, view, who, candidate) for who, candidate in page.entries],
        next=page.next,
    )


def _format_validator(api: Api, member: Validator, is_proposer: bool) -> Json:
    return {
        "address": api.format_address(member.address),
        "consensus_key": member.consensus_key.hex(),
        "power": member.power,
        "priority": get_priority(member),
        "is_proposer": is_proposer,
    }


def _format_candidate(api: Api, view: LedgerView, who: Address, candidate: validators.Candidate) -> Json:
    state = view.state
    return {
        "address": api.format_address(who),
        **format_record(candidate, api.prefix),
        "is_validator": validators.is_validator(state, who),
        "bond": staking.get_bond(state, who),
        "power": staking.get_power(state, who),
        "pay_factor": possession.get_pay_factor(state, who),
        **format_record(staking.get_standing(state, who), api.prefix),
    }


@router.get("/hosts")
async def list_hosts(api: ApiOf, view: ViewOf, after: Cursor = "", limit: Limit = 100) -> Hosts:
    """Hosts in the order of their accounts."""
    page = read_page(view, hosting.HOSTS, after=after, limit=limit)
    return Hosts(hosts=[format_host(api, view, who, host) for who, host in page.entries], next=page.next)


@router.get("/hosts/{address}")
async def get_host(
    api: ApiOf, view: ViewOf, address: AddressPath, after: Cursor = "", limit: Limit = 100
) -> Host:
    """A host with a page of its holdings; the window of its record reads p proven, m missed, c covered."""
    who, state = api.parse_address(address), view.state
    host = hosting.get_host(state, who)
    if host is None:
        raise NotFound("not_found", "the account is no host")
    page = read_page(view, hosting.HOLDINGS, who, after=after, limit=limit)
    return Host(
        address=api.format_address(who),
        host=format_host(api, view, who, host),
        effective=format_record(hosting.get_subset_totals(state, who), api.prefix),
        standing=format_record(staking.get_standing(state, who), api.prefix),
        possession=_format_possession(api, view, who),
        era=_format_era(view, who),
        duties=[_format_duty(duty) for duty in possession.list_open_duties(state, who)],
        holdings=[
            {"datum": datum.hex(), **format_record(holding, api.prefix)} for datum, holding in page.entries
        ],
        next=page.next,
    )


def format_host(api: Api, view: LedgerView, who: Address, host: hosting.Host) -> Json:
    """A host's particulars, with what decides whether it is worth asking."""
    return {
        "address": api.format_address(who),
        **format_record(host, api.prefix),
        "peer_id": format_peer(host.peer_id),
        "pay_factor": possession.get_pay_factor(view.state, who),
        "is_jailed": staking.is_jailed(view.state, who),
        "is_validator": validators.is_validator(view.state, who),
    }


def _format_possession(api: Api, view: LedgerView, who: Address) -> Json:
    record = possession.get_record(view.state, who)
    return {
        **format_record(record, api.prefix),
        "window": record.window.decode("ascii"),
        "misses": possession.count_misses(record),
        "pay_factor": possession.get_pay_factor(view.state, who),
    }


def _format_era(view: LedgerView, who: Address) -> Json | None:
    """What the running era asks of a candidate, and whether it can still be elected for the next one."""
    if validators.get_candidate(view.state, who) is None:
        return None
    standing = possession.get_era_standing(view.state, who)
    return {**standing._asdict(), "is_on_course": standing.is_on_course}


def _format_duty(duty: possession.Duty) -> Json:
    return {
        "epoch": duty.epoch,
        "deadline": duty.deadline,
        "demanded": duty.demanded.hex() if duty.demanded else None,
        "challenges": [{"datum": place.datum.hex(), "leaf": place.leaf_index} for place in duty.challenges],
    }
