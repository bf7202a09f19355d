"""The folder of a node: made once, private, and never taken for another."""

from pathlib import Path

import pytest

from chain.errors import InvalidChainSpec
from chain.genesis import format_chain_spec
from node.derivation import Role
from node.home import NODE_ROLES, Home, HomeError, write_private
from tests.node.cluster import build_cluster_spec

SPEC = build_cluster_spec(1)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A new home."""
    home = Home(tmp_path / "node")
    home.create(format_chain_spec(SPEC))
    return home


def test_a_new_home_has_its_spec_and_its_keys(home: Home) -> None:
    """All different, and the same each time they are opened."""
    assert home.load_spec() == SPEC
    secrets = [home.load_secret(role) for role in NODE_ROLES]
    assert len(set(secrets)) == len(NODE_ROLES)
    assert secrets == [home.load_secret(role) for role in NODE_ROLES]
    assert home.load_key(Role.CONSENSUS).public_key == home.load_key(Role.CONSENSUS).public_key
    assert len(home.load_token()) == 64
    assert home.load_token() != home.load_password()
    assert not home.store.exists(), "the store is made by the node's first start"


def test_secrets_are_readable_by_their_owner_only(home: Home) -> None:
    """Password, token and key files."""
    private = [home.password_file, home.token_file, *home.keys.iterdir()]
    assert len(private) == 2 + len(NODE_ROLES)
    assert {path.stat().st_mode & 0o777 for path in private if path.is_file()} == {0o600}


def test_a_home_is_never_overwritten(home: Home) -> None:
    """Its keys may have signed; neither is a private file."""
    before = home.load_secret(Role.CONSENSUS)
    with pytest.raises(HomeError, match="already"):
        home.create(format_chain_spec(SPEC))
    with pytest.raises(FileExistsError):
        write_private(home.password_file, b"other")
    assert home.load_secret(Role.CONSENSUS) == before


def test_given_secrets_are_kept(tmp_path: Path) -> None:
    """A devnet decides its keys itself."""
    home = Home(tmp_path / "node")
    home.create(format_chain_spec(SPEC), {Role.CONSENSUS: b"c" * 32})
    assert home.load_secret(Role.CONSENSUS) == b"c" * 32
    assert home.load_secret(Role.NETWORK) != b"c" * 32


def test_what_is_no_home_or_no_spec_is_refused(tmp_path: Path) -> None:
    """With what to do; nothing is made for a spec that is no chain."""
    with pytest.raises(HomeError, match="vidya node init"):
        Home(tmp_path / "none").load_spec()
    home = Home(tmp_path / "node")
    with pytest.raises(InvalidChainSpec):
        home.create(b"{}")
    assert not home.path.exists()
