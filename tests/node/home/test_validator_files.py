"""Moving a validator: keys and sign-state move together, and the source stops signing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chain.genesis import format_chain_spec
from chain.primitives.keys import KeyPair
from node.home.config import NodeConfig, format_config
from node.home.home import Home
from node.home.validator_files import (
    InvalidExport,
    NothingToForget,
    WrongPlace,
    export_validator,
    forget_signatures,
    import_validator,
    open_export,
)
from node.keys.derivation import KeyRole
from node.keys.keystore import Profile, WrongPassword
from node.replica.signing.signer import Signer
from storage.errors import (
    DoubleSignRefused,
    NewerSignState,
    SignStateMissing,
    StoreInUse,
    ValidatorMoved,
)
from storage.lock import lock_directory
from storage.sign_state import Hold, LastSignState, SignState, SignStep
from storage.wal import Wal
from tests.node.home.test_home import SPEC

PASSWORD = "correct horse"
ACCOUNT = "vdev1account"
PREVOTE, PRECOMMIT = SignStep.PREVOTE, SignStep.PRECOMMIT


@pytest.fixture
def build_home(tmp_path: Path) -> Callable[..., Home]:
    """Folders of nodes, by name; `height`: signed there last, 0: a new key."""

    def build(name: str, height: int = 0, account: str = ACCOUNT) -> Home:
        home = Home(tmp_path / name)
        home.create(format_chain_spec(SPEC))
        home.config_file.write_text(format_config(NodeConfig(account=account)))
        if height:
            Wal.create(home.wal, height).close()
            sign(home, height, create=True)
        return home

    return build


def load(home: Home, *, create: bool = False) -> LastSignState:
    key = home.load_key(KeyRole.CONSENSUS).public_key
    return LastSignState.load(home.sign_state, key, create=create)


def sign(home: Home, height: int, *, create: bool = False) -> None:
    state = load(home, create=create)
    try:
        state.check_and_record(height, 0, PREVOTE, b"block", home.load_key(KeyRole.CONSENSUS).sign)
    finally:
        state.close()


def read(home: Home) -> SignState:
    state = load(home)
    state.close()
    return state.state


def build_signer(home: Home) -> None:
    """What a node with an account does at its start."""
    state = load(home)
    try:
        Signer(bytes(32), home.load_key(KeyRole.CONSENSUS), state, bytes(32))
    finally:
        state.close()


def export(home: Home, file: Path) -> Path:
    export_validator(home, file, PASSWORD, profile=Profile.DEVNET)
    return file


def test_validator_goes_on_where_it_ended(build_home: Callable[..., Home], tmp_path: Path) -> None:
    """All keys and the last slot arrive; it watches, and never signs what was signed before."""
    source, target = build_home("source", 7), build_home("target")
    file = export(source, tmp_path / "moved")
    assert file.stat().st_mode & 0o777 == 0o600
    import_validator(target, file, PASSWORD)
    for role in (KeyRole.CONSENSUS, KeyRole.NETWORK, KeyRole.BEACON):
        assert target.load_secret(role) == source.load_secret(role)
    assert (read(target).slot, read(target).hold) == ((7, 0, PREVOTE), Hold.WATCHING)
    state = load(target)
    state.end_watch()
    with pytest.raises(DoubleSignRefused):
        state.check_and_record(7, 0, PREVOTE, b"other", KeyPair(bytes(32)).sign)
    state.close()
    log = Wal.load(target.wal)
    assert log.height == 0
    log.close()


def test_moved_source_validates_no_more(build_home: Callable[..., Home], tmp_path: Path) -> None:
    """From the export on the source signs nothing and does not start as a validator, until it is imported."""
    source = build_home("source", 7)
    file = export(source, tmp_path / "moved")
    with pytest.raises(DoubleSignRefused):
        sign(source, 8)
    with pytest.raises(ValidatorMoved, match="import"):
        build_signer(source)
    with pytest.raises(ValidatorMoved):
        forget_signatures(source, 7)
    import_validator(source, file, PASSWORD)
    build_signer(source)


def test_source_is_marked_before_the_file_is_there(build_home: Callable[..., Home], tmp_path: Path) -> None:
    """If the file cannot be written, the source has stopped signing all the same; a second export works."""
    source = build_home("source", 7)
    with pytest.raises(FileNotFoundError):
        export(source, tmp_path / "no-folder" / "moved")
    assert read(source).hold is Hold.MOVED
    assert open_export(export(source, tmp_path / "moved"), PASSWORD)[1].sign_state.slot == (7, 0, PREVOTE)


def test_older_export_is_refused(build_home: Callable[..., Home], tmp_path: Path) -> None:
    """A file that is older than the folder's sign-state is refused; the same file twice is not."""
    source, target = build_home("source", 7), build_home("target")
    file = export(source, tmp_path / "moved")
    for _ in range(2):
        import_validator(target, file, PASSWORD)
    state = load(target)
    state.end_watch()
    state.close()
    sign(target, 8)
    with pytest.raises(NewerSignState):
        import_validator(target, file, PASSWORD)
    assert read(target).slot == (8, 0, PREVOTE)


def test_wrong_password_changes_nothing(build_home: Callable[..., Home], tmp_path: Path) -> None:
    """The file stays closed and the folder as it was."""
    source, target = build_home("source", 7), build_home("target")
    file, key = export(source, tmp_path / "moved"), target.load_secret(KeyRole.CONSENSUS)
    with pytest.raises(WrongPassword):
        import_validator(target, file, "wrong horse")
    assert target.load_secret(KeyRole.CONSENSUS) == key and not target.sign_state.exists()


def test_damaged_export_is_refused(build_home: Callable[..., Home], tmp_path: Path) -> None:
    """Cut or altered anywhere, an export is refused as a whole."""
    source = build_home("source", 7)
    whole, file = export(source, tmp_path / "moved").read_bytes(), tmp_path / "damaged"
    for cut in range(0, len(whole), 61):
        file.write_bytes(whole[:cut])
        with pytest.raises(InvalidExport):
            open_export(file, PASSWORD)
    for place in range(0, len(whole), 37):
        file.write_bytes(whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :])
        with pytest.raises((InvalidExport, WrongPassword)):
            open_export(file, PASSWORD)


def test_existing_file_is_not_overwritten(build_home: Callable[..., Home], tmp_path: Path) -> None:
    """An existing file is not overwritten, and the source is not marked."""
    source = build_home("source", 7)
    (tmp_path / "moved").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        export(source, tmp_path / "moved")
    assert (tmp_path / "moved").read_bytes() == b"precious" and read(source).hold is Hold.NONE


def test_folder_of_somebody_else_is_refused(build_home: Callable[..., Home], tmp_path: Path) -> None:
    """An import goes neither into another account's folder nor over a key that has signed."""
    file = export(build_home("source", 7), tmp_path / "moved")
    with pytest.raises(WrongPlace, match="account"):
        import_validator(build_home("other", account="vdev1other"), file, PASSWORD)
    busy = build_home("busy", 3)
    with pytest.raises(WrongPlace, match="signed"):
        import_validator(busy, file, PASSWORD)
    assert read(busy).slot == (3, 0, PREVOTE)


def test_folder_in_use_is_left_alone(build_home: Callable[..., Home], tmp_path: Path) -> None:
    """While a node runs in the folder nothing is taken out, put in or made again."""
    source = build_home("source", 7)
    file = export(build_home("other", 5), tmp_path / "moved")
    with lock_directory(source.data):
        for act in (
            lambda: export(source, tmp_path / "again"),
            lambda: import_validator(source, file, PASSWORD),
            lambda: forget_signatures(source),
        ):
            with pytest.raises(StoreInUse):
                act()
    assert read(source).hold is Hold.NONE


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_lost_sign_state_is_made_anew_and_watches(build_home: Callable[..., Home], damage: str) -> None:
    """A node does not start without it; made again it signs nothing before a watch; the old one is kept."""
    home = build_home("home", 7)
    old = home.sign_state.read_bytes()
    home.sign_state.unlink()
    if damage == "flipped":
        home.sign_state.write_bytes(old[:-1] + bytes((old[-1] ^ 1,)))
    else:
        with pytest.raises(SignStateMissing, match="forget-signatures"):
            load(home)
    aside = forget_signatures(home)
    assert [path.name for path in aside] == (["sign-state.old-1"] if damage == "flipped" else [])
    assert read(home).hold is Hold.WATCHING
    with pytest.raises(DoubleSignRefused):
        sign(home, 100)


def test_word_of_the_operator_ends_the_watch(build_home: Callable[..., Home]) -> None:
    """With the operator's word the key signs above the height named, and never at or below it."""
    home = build_home("home", 7)
    home.sign_state.unlink()
    forget_signatures(home, 9)
    with pytest.raises(DoubleSignRefused):
        sign(home, 9)
    sign(home, 10)
    assert forget_signatures(home, 8) == [] and read(home).slot == (10, 0, PREVOTE)


def test_lost_log_keeps_the_sign_state(build_home: Callable[..., Home]) -> None:
    """A damaged log alone is made again; what was signed stays known, and no watch is needed."""
    home = build_home("home", 7)
    home.wal.write_bytes(b"x" * 100)
    assert [path.name for path in forget_signatures(home)] == ["consensus.wal.old-1"]
    assert (read(home).slot, read(home).hold) == ((7, 0, PREVOTE), Hold.NONE)
    with pytest.raises(NothingToForget):
        forget_signatures(home)
