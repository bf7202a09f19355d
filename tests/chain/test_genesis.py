"""Chain specs: profiles, what is refused and where, and the genesis they build."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chain.errors import InvalidChainSpec
from chain.genesis import (
    CHAIN_SPEC_BYTES_MAX,
    ChainSpec,
    build_genesis_header,
    build_genesis_state,
    compute_genesis_hash,
    format_chain_spec,
    parse_chain_spec,
)
from chain.jsonable import get_fields
from chain.modules import balances, beacon, schedule, staking, validators
from chain.primitives.codec import encode, replace
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.types import NO_HASH
from chain.state import MemoryState
from tests.chain.support.chain_rig import VIDYA, Replica, build_rig

PROFILES = ("devnet", "minimal", "public")
Document = dict[str, Any]


def read(repository: Path, name: str) -> bytes:
    """A profile's file."""
    return (repository / "genesis" / f"{name}.json").read_bytes()


@pytest.fixture
def document(repository: Path) -> Document:
    """The devnet profile."""
    parsed: Document = json.loads(read(repository, "devnet"))
    return parsed


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_are_read_and_written_alike(repository: Path, name: str) -> None:
    """The file is exactly what the program would write, with every field spelt out."""
    data = read(repository, name)
    spec = parse_chain_spec(data)
    assert format_chain_spec(spec) == data
    assert spec.name == name
    missing = [field for field, _, _ in get_fields(ChainSpec) if field not in json.loads(data)]
    assert missing == []


PUBLIC = [
    ("system", "block_ms", 6_000),
    ("system", "epoch_blocks", 150),
    ("system", "era_epochs", 96),
    ("staking", "unbonding_eras", 21),
    ("membership", "lock", 45 * VIDYA),
    ("membership", "fee_lockers", 3 * VIDYA),
    ("membership", "fee_burned", 2 * VIDYA),
    ("membership", "unlocking_eras", 7),
    ("membership", "gate", "fixed_gate"),
    ("validators", "validators_max", 100),
    ("validators", "validators_min", 4),
    ("validators", "commission_step_ppm", 10_000),
    ("catalogue", "listing_fee_per_gib", 5 * VIDYA),
    ("catalogue", "listing_fee_min", VIDYA // 100),
    ("catalogue", "curator_bond", 25 * VIDYA),
    ("catalogue", "curator_bond_eras", 90),
    ("catalogue", "unpaid_eras", 7),
    ("catalogue", "sponsor_eras", 7),
    ("catalogue", "sponsor_copies", 5),
    ("catalogue", "outside_members", 30),
    ("hosting", "pledge_eras", 20),
    ("hosting", "pledge_per_gib_min", VIDYA),
    ("hosting", "pledge_step_ppm", 50_000),
    ("hosting", "pledge_supply_ppm", 30_000),
    ("hosting", "pledge_bytes_min", 100 * 2**40),
    ("hosting", "delay_epochs", 2),
    ("hosting", "drop_interval_epochs", 4),
    ("possession", "leaves_per_epoch", 4),
    ("possession", "deadline_blocks", 20),
    ("possession", "excused_epochs_max", 4),
    ("possession", "era_bytes_min", 5 * 2**30),
    ("possession", "window_epochs", 96),
    ("possession", "pay_floor_ppm", 800_000),
    ("possession", "credit_proven_epochs", 24),
    ("possession", "credits_max", 96),
    ("possession", "mass_miss_ppm", 100_000),
    ("possession", "demand_fee", VIDYA // 2),
    ("sessions", "price_per_gib", 10 * VIDYA),
    ("sessions", "host_ppm", 700_000),
    ("sessions", "lockers_ppm", 100_000),
    ("escrow", "release_eras", 30),
    ("escrow", "last_share_ppm", 100_000),
    ("rewards", "emission_ppm", 80_000),
    ("rewards", "hosting_ppm", 400_000),
    ("rewards", "upload_ppm", 200_000),
    ("rewards", "validator_ppm", 150_000),
    ("rewards", "match_ppm", 900_000),
    ("rewards", "replicas", 5),
    ("rewards", "hosting_price_ppm", 100_000),
    ("rewards", "are_networks_counted", True),
    ("rewards", "scarce_below", 3),
    ("rewards", "scarce_ppm", 1_250_000),
    ("rewards", "weight_ppm_max", 2_000_000),
    ("rewards", "halving_eras", 30),
    ("rewards", "subtree_ppm", 50_000),
    ("offences", "equivocation_ppm_min", 50_000),
    ("offences", "miss_jail_ppm", 500_000),
    ("offences", "jail_epochs", 4),
    ("offences", "miss_slash_ppm", 1_000),
    ("offences", "miss_slash_ppm_max", 50_000),
    ("offences", "jailing_window_eras", 30),
    ("offences", "offline_epochs", 96),
    ("offences", "unrevealed_ppm", 5_000),
    ("offences", "unrevealed_links_max", 3),
    ("offences", "demand_failures_max", 3),
    ("offences", "demand_slash_ppm", 50_000),
    ("juries", "jury_size", 15),
    ("juries", "jurors_min", 45),
    ("juries", "juror_eras", 30),
    ("juries", "challenge_bond_max", 100 * VIDYA),
    ("juries", "commit_epochs", 96),
    ("juries", "reveal_epochs", 96),
    ("juries", "winner_ppm", 400_000),
    ("juries", "jurors_ppm", 100_000),
    ("juries", "silent_ppm", 10_000),
    ("staking", "slash_repair_ppm", 250_000),
    ("staking", "slash_validators_ppm", 150_000),
    ("staking", "slash_reporter_ppm", 100_000),
]


@pytest.mark.parametrize(("module", "field", "value"), PUBLIC)
def test_the_public_profile_has_the_numbers_of_the_economy(
    repository: Path, module: str, field: str, value: object
) -> None:
    """Epochs of 15 minutes, eras of a day, and every price, share and threshold."""
    spec = parse_chain_spec(read(repository, "public"))
    assert getattr(getattr(spec, module).parameters, field) == value


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_differ_in_time_and_not_in_shares(repository: Path, name: str) -> None:
    """What is split is split alike everywhere, so that a devnet shows the economy of a public network."""
    spec, public = (parse_chain_spec(read(repository, one)) for one in (name, "public"))
    for module, field, value in PUBLIC:
        if field.endswith("_ppm") and (module, field) != ("possession", "mass_miss_ppm"):
            assert getattr(getattr(spec, module).parameters, field) == value, (module, field)
    assert [tier.share_ppm for tier in spec.escrow.parameters.tiers] == [750_000, 500_000, 250_000]
    assert [tier.proven_eras_below for tier in public.escrow.parameters.tiers] == [30, 90, 365]


def set_in(document: Document, path: str, value: object) -> None:
    """Change one place of a document."""
    *parents, last = path.split(".")
    for name in parents:
        document = document[name]
    document[last] = value


REFUSED = [
    ("prefix", "Vdev", "a-z"),
    ("prefix", None, "'prefix' is missing"),
    ("prefix", "", "a-z"),
    ("name", "", "ChainSpec.name: "),
    ("name", "n" * 65, "ChainSpec.name: "),
    ("decimals", 13, "ChainSpec.decimals: "),
    ("decimals", "9", "ChainSpec.decimals: "),
    ("spec_version", 2, "rules of version 2; this program knows 1"),
    ("time_ms", -1, "ChainSpec.time_ms: "),
    ("time_ms", 1.5, "ChainSpec.time_ms: "),
    ("colour", "red", "ChainSpec: unknown field 'colour'"),
    ("seeds", ["s"] * 33, "ChainSpec.seeds: "),
    ("seeds", "/ip4/1.2.3.4", "ChainSpec.seeds: expected a list"),
    ("system", {}, "ChainSpec.system: field 'parameters' is missing"),
    ("system.parameters.epoch_blocks", True, "ChainSpec.system.parameters.epoch_blocks: "),
    ("system.parameters.epoch_blocks", 2**32, "ChainSpec.system.parameters.epoch_blocks: "),
    ("system.parameters.epochs", 1, "ChainSpec.system.parameters: unknown field 'epochs'"),
    ("escrow.parameters.tiers", [{"age_eras_below": 1}], "ChainSpec.escrow.parameters.tiers[0]: "),
    ("balances.accounts", [["vdev1qqqq", 1]], "ChainSpec.balances.accounts[0][0]: "),
    ("balances.accounts", [[]], "ChainSpec.balances.accounts[0]: expected 2 entries"),
]


@pytest.mark.parametrize(("path", "value", "reason"), REFUSED)
def test_a_malformed_spec_is_refused_at_its_place(
    document: Document, path: str, value: object, reason: str
) -> None:
    """Names, types, bounds, unknown and missing fields."""
    set_in(document, path, value)
    with pytest.raises(InvalidChainSpec) as caught:
        parse_chain_spec(json.dumps(document).encode())
    assert reason in str(caught.value)


@pytest.mark.parametrize("field", [name for name, _, is_optional in get_fields(ChainSpec) if not is_optional])
def test_no_part_of_a_spec_may_be_missing(document: Document, field: str) -> None:
    """A network is what its file says and nothing else."""
    del document[field]
    with pytest.raises(InvalidChainSpec, match=f"field '{field}' is missing"):
        parse_chain_spec(json.dumps(document).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'"vdev"',
        b'{"prefix": "vdev"} {}',
        b'{"prefix": "vdev", "name": "\xff"}',
        b"[" * 100_000,
        b'{"prefix":' * 50_000,
        b" " * (CHAIN_SPEC_BYTES_MAX + 1),
    ],
)
def test_what_is_no_chain_spec_at_all_is_refused(data: bytes) -> None:
    """Not JSON, not an object, too deep, too long."""
    with pytest.raises(InvalidChainSpec):
        parse_chain_spec(data)


UNBUILDABLE: list[tuple[str, Callable[[Document], None]]] = [
    ("system", lambda one: set_in(one, "system.parameters.epoch_blocks", 0)),
    ("fees", lambda one: set_in(one, "fees.parameters.base_fee_min", 0)),
    ("escrow", lambda one: set_in(one, "escrow.parameters.release_eras", 0)),
    ("beacon", lambda one: set_in(one, "beacon.parameters.seeds_kept", 3)),
    ("catalogue", lambda one: set_in(one, "catalogue.parameters.datum_bytes_max", 2**60)),
    ("hosting", lambda one: set_in(one, "hosting.parameters.delay_epochs", 0)),
    ("possession", lambda one: set_in(one, "possession.parameters.leaves_per_epoch", 0)),
    ("membership", lambda one: set_in(one, "membership.parameters.gate", "open")),
    ("validators", lambda one: set_in(one, "validators.parameters.validators_min", 0)),
    ("validators", lambda one: set_in(one, "validators.validators", [])),
    ("offences", lambda one: set_in(one, "offences.parameters.miss_jail_ppm", 0)),
    ("sessions", lambda one: set_in(one, "sessions.parameters.price_per_gib", 0)),
    ("rewards", lambda one: set_in(one, "rewards.parameters.hosting_ppm", 10**6)),
    ("staking", lambda one: one["staking"]["bonds"].append([one["balances"]["accounts"][0][0], 10**18])),
    ("balances", lambda one: one["balances"]["accounts"].append([one["balances"]["accounts"][0][0], 2**61])),
]


@pytest.mark.parametrize(("module", "change"), UNBUILDABLE, ids=[name for name, _ in UNBUILDABLE])
def test_each_module_refuses_what_it_can_not_run_on(module: str, change: Callable[[Document], None]) -> None:
    """The spec is well formed, but no chain comes of it; the module is named."""
    document = json.loads(format_chain_spec(build_rig().spec))
    build_genesis_state(parse_chain_spec(json.dumps(document).encode()))
    change(document)
    spec = parse_chain_spec(json.dumps(document).encode())
    with pytest.raises(InvalidChainSpec, match=f"{module}: "):
        build_genesis_state(spec)


def test_the_genesis_hash_names_everything_but_the_seeds() -> None:
    """Whatever differs is another network; the seeds are not part of it."""
    spec = build_rig().spec
    named = compute_genesis_hash(spec)
    assert named == hash_bytes(Domain.GENESIS, encode(replace(spec, seeds=())))
    assert compute_genesis_hash(replace(spec, seeds=("/ip4/1.2.3.4/tcp/1",))) == named
    fees = replace(spec.fees, parameters=replace(spec.fees.parameters, base_fee_min=1_001))
    for changed in (replace(spec, name="other"), replace(spec, time_ms=1), replace(spec, fees=fees)):
        assert compute_genesis_hash(changed) != named


def test_genesis_holds_the_invariants_and_names_its_validators() -> None:
    """Before the first block all is in order; the header leads to the spec."""
    rig = build_rig()
    schedule.check_invariants(rig.state)
    header = rig.live.head
    assert (header.height, header.time_ms, header.proposer) == (0, rig.spec.time_ms, NO_HASH)
    assert header.parent_hash == rig.live.genesis_hash
    assert header.validators_hash == header.next_validators_hash
    members = validators.get_current(rig.state).validators
    assert [one.address for one in members] == sorted(person.address for person in rig.people[:4])
    assert balances.get_total_supply(rig.state) == 8 * 10_100 * VIDYA
    assert staking.get_bond(rig.state, rig.people[0].address) == 100 * VIDYA
    assert beacon.get_seed(rig.state, 0) == rig.live.genesis_hash


def test_building_genesis_twice_gives_the_same_root() -> None:
    """The state is a function of the spec."""
    spec = build_rig().spec
    replicas = Replica(spec), Replica(spec, is_reversed=True)
    assert replicas[0].head == replicas[1].head
    changes = build_genesis_state(spec)
    header = build_genesis_header(spec, MemoryState(dict(replicas[0].state.scan(b""))), b"r" * 32)
    assert replace(header, state_root=replicas[0].head.state_root) == replicas[0].head
    assert dict(replicas[0].state.scan(b"")) == changes
