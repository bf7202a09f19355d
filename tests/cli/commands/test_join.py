"""What `vidya join` settles before a node runs: settings, stake, disk."""

import shutil
from pathlib import Path

import pytest

from chain.genesis import format_chain_spec
from chain.primitives.addresses import encode_address
from cli.errors import CliError, UsageFault
from cli.hosting.home import check_trust, prepare_home
from cli.hosting.standing import check_stake
from node.home.config import load_config
from node.home.home import Home
from p2p.errors import InvalidPeerAddress
from tests.node.cluster import Person, build_cluster_spec

TRUST = "12:" + "ab" * 32
SPEC = build_cluster_spec(1)
ACCOUNT = encode_address(SPEC.prefix, Person(3).address)


def prepare(path: Path, **changes: object) -> Home:
    return prepare_home(path, format_chain_spec(SPEC), SPEC, ACCOUNT, changes)


def test_a_block_to_trust_is_height_and_hash() -> None:
    """Anything else is refused before a folder is made; who replays trusts no block."""
    assert check_trust("", full=False) == check_trust("", full=True) == ""
    assert check_trust(TRUST.upper(), full=False) == TRUST
    for text in ("12", "12:", "12:abc", ":" + "ab" * 32, TRUST + "0", "-1:" + "ab" * 32):
        with pytest.raises(UsageFault):
            check_trust(text, full=False)
    with pytest.raises(UsageFault):
        check_trust(TRUST, full=True)


def test_another_try_may_name_another_block_until_there_is_a_store(tmp_path: Path) -> None:
    """A wrong block ends the node before it has a store; the next `join` puts it right."""
    home = prepare(tmp_path / "home", disk_bytes=7 * 2**20, state_sync=True, trust=TRUST)
    assert load_config(home.config_file).trust == TRUST
    prepare(home.path, state_sync=False, trust="")
    config = load_config(home.config_file)
    assert (config.state_sync, config.trust, config.disk_bytes) == (False, "", 7 * 2**20)
    home.store.mkdir()
    prepare(home.path, state_sync=True, trust=TRUST)
    assert load_config(home.config_file) == config


def test_another_try_may_change_disk_and_addresses(tmp_path: Path) -> None:
    """What is typed again counts, and what is not typed stays as it was."""
    home = prepare(tmp_path / "home", disk_bytes=2**20, api_port=0)
    listen = "/ip4/127.0.0.1/tcp/9999"
    prepare(home.path, disk_bytes=2**21, p2p_listen=listen)
    config = load_config(home.config_file)
    assert (config.disk_bytes, config.p2p_listen, config.api_port) == (2**21, listen, 0)
    with pytest.raises(InvalidPeerAddress):
        prepare(home.path, p2p_listen="nowhere")
    assert load_config(home.config_file) == config


def test_more_disk_than_there_is_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """The message names what is free."""
    with pytest.raises(UsageFault, match="free"):
        prepare(tmp_path / "home", disk_bytes=shutil.disk_usage(tmp_path).free + 2**30)
    assert not (tmp_path / "home").exists()


def test_a_stake_below_the_minimum_names_the_minimum() -> None:
    """It is known from the chain spec alone, before a node is started."""
    bond_min = SPEC.validators.parameters.bond_min
    check_stake(SPEC, bond_min)
    with pytest.raises(CliError, match="at least") as caught:
        check_stake(SPEC, bond_min - 1)
    assert caught.value.code == "validators.bond_too_small" and "--stake" in caught.value.hint
