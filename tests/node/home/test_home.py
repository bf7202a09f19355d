"""The folder of a node: made once, private, and never taken for another."""

from pathlib import Path

import pytest

from chain.errors import InvalidChainSpec
from chain.genesis import format_chain_spec
from node.home.home import NODE_ROLES, Home, HomeError, write_private
from node.keys.derivation import KeyRole
from storage.errors import StoreInUse
from storage.lock import lock_directory
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
    assert home.load_key(KeyRole.CONSENSUS).public_key == home.load_key(KeyRole.CONSENSUS).public_key
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
    before = home.load_secret(KeyRole.CONSENSUS)
    with pytest.raises(HomeError, match="already"):
        home.create(format_chain_spec(SPEC))
    with pytest.raises(FileExistsError):
        write_private(home.password_file, b"other")
    assert home.load_secret(KeyRole.CONSENSUS) == before


def test_given_secrets_are_kept(tmp_path: Path) -> None:
    """A devnet decides its keys itself."""
    home = Home(tmp_path / "node")
    home.create(format_chain_spec(SPEC), {KeyRole.CONSENSUS: b"c" * 32})
    assert home.load_secret(KeyRole.CONSENSUS) == b"c" * 32
    assert home.load_secret(KeyRole.NETWORK) != b"c" * 32


def test_what_is_no_home_or_no_spec_is_refused(tmp_path: Path) -> None:
    """With what to do; nothing is made for a spec that is no chain."""
    with pytest.raises(HomeError, match="vidya node init"):
        Home(tmp_path / "none").load_spec()
    home = Home(tmp_path / "node")
    with pytest.raises(InvalidChainSpec):
        home.create(b"{}")
    assert not home.path.exists()


def test_a_store_is_set_aside_and_nothing_else(home: Home) -> None:
    """Twice gives two names; log and sign-state stay; a running node, and a missing store, refuse it."""
    for path in (home.wal, home.sign_state):
        path.write_bytes(b"kept")
    places = []
    for content in ("first", "second"):
        home.store.mkdir()
        (home.store / "CURRENT").write_text(content)
        with lock_directory(home.data), pytest.raises(StoreInUse):
            home.set_store_aside()
        places.append(home.set_store_aside())
        assert not home.store.exists()
    assert [(place / "CURRENT").read_text() for place in places] == ["first", "second"]
    assert home.wal.read_bytes() == home.sign_state.read_bytes() == b"kept"
    with pytest.raises(HomeError, match="not there"):
        home.set_store_aside()
