"""Opening a data directory: the next start can open what an interrupted first start leaves behind."""

import shutil
from pathlib import Path

import pytest

from node.home.home import Home
from node.stores import open_stores
from storage.data_format import DATA_FORMAT
from storage.errors import OtherDataFormat, SignStateMissing
from storage.sign_state import SignStep
from tests.node.cluster import Person

KEY = Person(0).keys.consensus


def test_a_first_start_that_died_before_the_database_is_begun_again(tmp_path: Path) -> None:
    """The database is made last; without it log and sign-state are opened or made, and nothing is
    forgotten.
    """
    home = Home(tmp_path)
    home.data.mkdir()
    with open_stores(home, KEY.public_key, is_new=True) as stores:
        stores.sign_state.raise_to(7, 0, SignStep.PREVOTE)
        stores.wal.reset(7)
        stores.wal.append(7, b"why")
        stores.wal.sync()
    shutil.rmtree(home.store)
    with open_stores(home, KEY.public_key, is_new=not home.store.exists()) as stores:
        assert stores.sign_state.state.height == 7
        assert (stores.wal.height, list(stores.wal.replay())) == (7, [b"why"])


def test_a_missing_sign_state_beside_a_database_is_refused(tmp_path: Path) -> None:
    """A node with a chain but without its sign-state does not start."""
    home = Home(tmp_path)
    home.data.mkdir()
    with open_stores(home, KEY.public_key, is_new=True):
        pass
    home.sign_state.unlink()
    with pytest.raises(SignStateMissing), open_stores(home, KEY.public_key, is_new=not home.store.exists()):
        pass


@pytest.mark.parametrize("mark", [None, b"1\n", b"%d\n" % (DATA_FORMAT + 1), b"", b"\xff" * 99])
def test_a_directory_of_another_version_is_refused(tmp_path: Path, mark: bytes | None) -> None:
    """The refusal says so, and touches nothing; no damage is claimed."""
    home = Home(tmp_path)
    home.data.mkdir()
    with open_stores(home, KEY.public_key, is_new=True):
        pass
    path = home.data / "format"
    path.unlink() if mark is None else path.write_bytes(mark)
    before = home.sign_state.read_bytes()
    with (
        pytest.raises(OtherDataFormat, match="another version"),
        open_stores(home, KEY.public_key, is_new=False),
    ):
        pass
    assert home.sign_state.read_bytes() == before
    path.write_bytes(b"%d\n" % DATA_FORMAT)
    with open_stores(home, KEY.public_key, is_new=False):
        pass
