"""What opens a door is recognised by what it is, before anything of its folder is read."""

import json
from pathlib import Path

import pytest

from chain.primitives.keys import KeyPair
from node.content.private_files import PrivateFile, check_public
from node.home.home import write_private
from node.keys import keystore
from node.keys.derivation import KeyRole, build_mnemonic
from storage.sign_state import LastSignState

KEY = KeyPair(b"\x07" * 32)


def write_keystore(path: Path) -> None:
    folder = path.parent / "keys"
    keystore.create(folder, "x", bytes(32), "word", role=KeyRole.ACCOUNT, profile=keystore.Profile.DEVNET)
    path.write_bytes((folder / "x.json").read_bytes())


def write_sign_state(path: Path) -> None:
    LastSignState.load(path, KEY.public_key, create=True).close()


def write_web3_key(path: Path) -> None:
    path.write_text(json.dumps({"version": 3, "id": "x", "crypto": {"cipher": "aes-128-ctr"}}))


@pytest.mark.parametrize(
    "write",
    [
        write_keystore,
        write_sign_state,
        lambda path: path.write_bytes(b"vsig\x00" + bytes(60)),
        write_web3_key,
        lambda path: write_private(path, b"ab" * 32),
        lambda path: write_private(path, b"hunter2\n"),
        lambda path: path.write_text(build_mnemonic().upper() + "\n"),
        lambda path: path.write_text("abandon " * 11 + "about"),
        lambda path: path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nb3B\n"),
        lambda path: path.write_text("# created\nAGE-SECRET-KEY-1QQQ\n"),
        lambda path: path.write_text(json.dumps({"session": "x", "voucher_secret": "ab"})),
    ],
)
def test_a_file_that_opens_a_door_is_named_and_refused(tmp_path: Path, write: object) -> None:
    """Under an innocent name, by itself, and deep in a folder of harmless files."""
    folder = tmp_path / "photos" / "2024"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    write(folder / "notes.txt")  # type: ignore[operator]
    for path in (folder / "notes.txt", tmp_path / "photos"):
        with pytest.raises(PrivateFile, match=r"notes\.txt is "):
            check_public(path)


def test_numbers_are_no_secrets(tmp_path: Path) -> None:
    """Versions and process ids pass where everything is readable for its owner alone."""
    for number, content in enumerate((b"1.2.3\n", b"v12.10.3", b"1234567\n", b"dev\n")):
        write_private(tmp_path / f"file{number}", content)
    check_public(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello\n",
        b"ab" * 32,
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----BEGIN PUBLIC KEY-----\n",
        b'{"name": "crypto", "tags": ["crypto"]}',
        b"[" * 5000,
        b"\xff\xfe\x00" * 100,
        b"about the abandoned ability of twelve words to be a sentence like any\n",
    ],
)
def test_harmless_files_pass(tmp_path: Path, content: bytes) -> None:
    """Text, certificates, checksums, data about cryptography, damaged JSON."""
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "file").chmod(0o644)
    check_public(tmp_path)
