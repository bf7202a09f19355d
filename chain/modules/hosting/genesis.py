"""Hosting: genesis and invariants."""

from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules import catalogue
from chain.modules.hosting.calls import RegisterHost, register_host
from chain.modules.hosting.types import HOLDERS, HOLDINGS, HOSTS, PARAMETERS, SUBSET_DATUMS_MAX, Parameters
from chain.primitives.codec import Record
from chain.primitives.types import Address
from chain.state import StateReader


class GenesisConfig(Record):
    """Hosts at genesis, who hold nothing yet: the index begins empty."""

    parameters: Parameters
    hosts: tuple[tuple[Address, RegisterHost], ...] = ()


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters and register the hosts by the call itself."""
    if config.parameters.delay_epochs == 0 or config.parameters.subset_datums_max > SUBSET_DATUMS_MAX:
        raise InvalidChainSpec(
            f"hosting: delay_epochs at least 1, subset_datums_max at most {SUBSET_DATUMS_MAX}"
        )
    PARAMETERS.set(ctx.state, config.parameters)
    for who, call in config.hosts:
        register_host(ctx, who, call)


def check_invariants(state: StateReader) -> None:
    """Host totals, the mirror and the catalogue's counts agree with the holdings."""
    holders: list[bytes] = []
    for who, host in HOSTS.items(state):
        live = [(key, one) for key, one in HOLDINGS.items(state, who) if HOLDERS.has(state, key, who)]
        holders.extend(key + who for key, _ in live)
        assert host.bytes == sum(holding.size_bytes for _, holding in live)
        assert host.datums == len(live)
        assert all(HOLDINGS.has(state, who, key) for key, _ in live)
    mirrored = [key for key, _ in HOLDERS.items(state)]
    assert sorted(holders) == mirrored
    for datum_id, datum in catalogue.DATUMS.items(state):
        assert datum.holdings == sum(1 for key in mirrored if key.startswith(datum_id))
