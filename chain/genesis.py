"""Genesis: the chain spec (JSON, `docs/spec/genesis.md`) as a record, and the state and header at height 0.

The spec names the network: `compute_genesis_hash` of its canonical encoding is in every signature and
protocol name. `seeds` are not part of the hash, so that a collective can change the first addresses of new
nodes. The caller reads the file.
"""

from typing import Annotated, Any

from msgspec import DecodeError as MalformedJson
from msgspec import Meta, json

from chain.block import BlockReceipts, Header, Inherents, compute_extrinsics_root, compute_receipts_root
from chain.commitment import EMPTY_ROOT
from chain.errors import ChainError, DispatchError, InvalidChainSpec
from chain.jsonable import from_json, to_json
from chain.module import Context
from chain.modules import (
    balances,
    beacon,
    catalogue,
    escrow,
    fees,
    hosting,
    juries,
    lockers,
    membership,
    offences,
    possession,
    rewards,
    sessions,
    staking,
    system,
    validators,
)
from chain.primitives.addresses import check_prefix
from chain.primitives.codec import Record, replace
from chain.primitives.hashing import Domain, hash_record
from chain.primitives.types import NO_HASH, Hash, TimeMs, Uint8
from chain.state import Changes, MemoryState, Overlay, StateReader
from chain.validator_set import compute_hash, compute_priorities_hash

CHAIN_SPEC_BYTES_MAX = 4 * 2**20
Text = Annotated[str, Meta(min_length=1, max_length=64)]


class ChainSpec(Record):
    """The start of a network: its name, and the `GenesisConfig` of each module."""

    name: Text
    prefix: Text
    """The bech32m prefix of addresses."""
    symbol: Text
    decimals: Annotated[int, Meta(ge=0, le=12)]
    spec_version: Uint8
    time_ms: TimeMs
    system: system.GenesisConfig
    fees: fees.GenesisConfig
    escrow: escrow.GenesisConfig
    lockers: lockers.GenesisConfig
    balances: balances.GenesisConfig
    staking: staking.GenesisConfig
    beacon: beacon.GenesisConfig
    catalogue: catalogue.GenesisConfig
    hosting: hosting.GenesisConfig
    possession: possession.GenesisConfig
    membership: membership.GenesisConfig
    sessions: sessions.GenesisConfig
    validators: validators.GenesisConfig
    offences: offences.GenesisConfig
    rewards: rewards.GenesisConfig
    juries: juries.GenesisConfig
    seeds: Annotated[tuple[str, ...], Meta(max_length=32)] = ()


BUILDERS: tuple[tuple[str, Any], ...] = (
    ("system", system.build_genesis),
    ("fees", fees.build_genesis),
    ("balances", balances.build_genesis),
    ("escrow", escrow.build_genesis),
    ("lockers", lockers.build_genesis),
    ("staking", staking.build_genesis),
    ("beacon", beacon.build_genesis),
    ("catalogue", catalogue.build_genesis),
    ("hosting", hosting.build_genesis),
    ("possession", possession.build_genesis),
    ("membership", membership.build_genesis),
    ("sessions", sessions.build_genesis),
    ("validators", validators.build_genesis),
    ("offences", offences.build_genesis),
    ("rewards", rewards.build_genesis),
    ("juries", juries.build_genesis),
)


def parse_chain_spec(data: bytes) -> ChainSpec:
    """The spec in the bytes of a JSON file; raises InvalidChainSpec, whose message names the place."""
    if len(data) > CHAIN_SPEC_BYTES_MAX:
        raise InvalidChainSpec(f"larger than {CHAIN_SPEC_BYTES_MAX} bytes")
    try:
        document = json.decode(data)
        prefix = document.get("prefix") if isinstance(document, dict) else None
        if not isinstance(prefix, str):
            raise InvalidChainSpec("not a chain spec: field 'prefix' is missing")
        check_prefix(prefix)
        spec = from_json(ChainSpec, document, prefix)
    except (MalformedJson, UnicodeDecodeError, RecursionError) as error:
        raise InvalidChainSpec(f"not JSON: {error}") from error
    except ChainError as error:
        raise InvalidChainSpec(str(error)) from error
    if spec.spec_version != system.SPEC_VERSION:
        raise InvalidChainSpec(
            f"rules of version {spec.spec_version}; this program knows {system.SPEC_VERSION}"
        )
    return spec


def format_chain_spec(spec: ChainSpec) -> bytes:
    """The JSON text of a spec, which `parse_chain_spec` reads back."""
    return json.format(json.encode(to_json(spec, spec.prefix)), indent=2) + b"\n"


def compute_genesis_hash(spec: ChainSpec) -> Hash:
    """The hash that names the network."""
    return hash_record(Domain.GENESIS, replace(spec, seeds=()))


def build_genesis_state(spec: ChainSpec) -> Changes:
    """All pairs of the state at height 0; raises InvalidChainSpec if a module refuses the spec."""
    state = Overlay(MemoryState())
    ctx = Context(
        state,
        genesis_hash=compute_genesis_hash(spec),
        height=0,
        time_ms=spec.time_ms,
        epoch=0,
        era=0,
        proposer=NO_HASH,
    )
    for name, build in BUILDERS:
        try:
            build(ctx, getattr(spec, name))
        except InvalidChainSpec:
            raise  # it names its module already
        except ChainError as error:
            why = f"{error.code} {error}" if isinstance(error, DispatchError) else str(error)
            raise InvalidChainSpec(f"{name}: {why}".rstrip()) from error
    return state.changes


def build_genesis_header(spec: ChainSpec, state: StateReader, state_root: Hash) -> Header:
    """The header at height 0, parent of the first block, over the genesis state `state`."""
    assert state_root != EMPTY_ROOT
    first = validators.get_current(state)
    return Header(
        spec_version=spec.spec_version,
        height=0,
        time_ms=spec.time_ms,
        parent_hash=compute_genesis_hash(spec),
        proposer=NO_HASH,
        extrinsics_root=compute_extrinsics_root(Inherents(None, None), ()),
        receipts_root=compute_receipts_root(BlockReceipts((), (), ())),
        state_root=state_root,
        validators_hash=compute_hash(first),
        next_validators_hash=compute_hash(first),
        priorities_hash=compute_priorities_hash(first),
    )
