"""Content at genesis: listed by its account, held and proven by hosts from the first epoch on."""

from chain.content import LEAF_BYTES
from chain.genesis import build_genesis_state, format_chain_spec, parse_chain_spec
from chain.modules import balances, catalogue, hosting, possession
from chain.primitives.codec import replace
from chain.state import MemoryState
from tests.node.cluster import VIDYA, Person, build_cluster_spec

SIZE = 3 * LEAF_BYTES
LISTING = catalogue.ListDatum(b"f" * 32, b"r" * 32, SIZE, "Title", "text", ("tag",), "")


def build_state() -> MemoryState:
    """The genesis of two hosts, of which the first lists and holds a datum."""
    spec = build_cluster_spec(2)
    host, datum = Person(0).address, catalogue.compute_datum_id(LISTING)
    spec = replace(
        spec,
        catalogue=replace(spec.catalogue, listings=((host, LISTING),)),
        hosting=replace(spec.hosting, holdings=((host, (datum,)),)),
    )
    state = MemoryState()
    state.apply(build_genesis_state(parse_chain_spec(format_chain_spec(spec))))
    return state


def test_the_listing_costs_what_the_call_costs() -> None:
    """Fee and bond leave the lister's balance, and the invariants hold."""
    state = build_state()
    parameters = catalogue.get_parameters(state)
    fee = catalogue.compute_listing_fee(parameters, SIZE)
    spent = 10_000 * VIDYA - balances.get_balance(state, Person(0).address)
    assert spent == fee + parameters.curator_bond
    balances.check_invariants(state)
    catalogue.check_invariants(state)
    hosting.check_invariants(state)


def test_the_holding_is_in_effect_at_once() -> None:
    """A host of genesis holds its datum in epoch 0, and no other host does."""
    state, datum = build_state(), catalogue.compute_datum_id(LISTING)
    assert hosting.queries.get_hosts_of(state, datum, 0) == (Person(0).address,)
    assert possession.get_record(state, Person(1).address) == possession.get_record(state, b"\0" * 32)
