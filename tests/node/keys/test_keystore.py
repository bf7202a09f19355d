"""Key files: round trips, the documented format, passwords, the directory, and the process around them."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack
import pytest
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt
from nacl.pwhash import argon2id
from nacl.signing import SigningKey

from node.keys.derivation import InvalidMnemonic, InvalidPath, KeyRole, derive, encode_mnemonic
from node.keys.keystore import (
    InvalidKeystore,
    InvalidName,
    InvalidSecret,
    KeyExists,
    KeyFile,
    KeyNotFound,
    Profile,
    UnfitPassword,
    WrongPassword,
    check_name,
    create,
    decode_key_file,
    decode_secret,
    encode_key_file,
    encode_secret,
    export_secret,
    get_names,
    import_file,
    load,
    rename,
    seal,
    unlock,
)

SEED = bytes(range(32))
PASSWORD = "correct horse"
SEALED = encode_key_file(seal("alice", SEED, PASSWORD, role=KeyRole.ACCOUNT, profile=Profile.DEVNET))


def make(directory: Path, name: str = "alice", **changes: Any) -> KeyFile:
    """A cheap account key in `directory`."""
    options = {"role": KeyRole.ACCOUNT, "profile": Profile.DEVNET} | changes
    return create(directory, name, SEED, options.pop("password", PASSWORD), **options)


def list_files(directory: Path) -> list[str]:
    """Every file there, hidden ones too."""
    return sorted(os.listdir(directory))


# Round trips.


@pytest.mark.parametrize("role", list(KeyRole))
def test_a_key_comes_back(tmp_path: Path, role: KeyRole) -> None:
    """What was created is loaded equal, opens with its password, and is the only file in the directory."""
    made = make(tmp_path, role=role)
    assert load(tmp_path, "alice") == made
    assert unlock(made, PASSWORD) == SEED
    assert list_files(tmp_path) == ["alice.json"]


def test_the_public_key_is_readable_without_password(tmp_path: Path) -> None:
    """A key file shows the public key of its seed; a mnemonic shows that of its first account."""
    account = derive(encode_mnemonic(SEED), KeyRole.ACCOUNT, 0)
    assert make(tmp_path).address == bytes(SigningKey(SEED).verify_key)
    assert make(tmp_path, "words", role=KeyRole.MNEMONIC).address == bytes(SigningKey(account).verify_key)


def test_the_path_is_recorded(tmp_path: Path) -> None:
    """A key of a mnemonic keeps its path, another has none, an index out of bounds makes no file."""
    assert make(tmp_path, role=KeyRole.CONSENSUS, index=2).path == "m/44'/84392'/1'/2'"
    assert make(tmp_path, "bob").path == ""
    with pytest.raises(InvalidPath):
        make(tmp_path, "carol", index=2**31)
    assert get_names(tmp_path) == ["alice", "bob"]


def test_files_and_directory_are_private(tmp_path: Path) -> None:
    """A key file has mode 0600 and a directory made for it 0700, whatever the umask lets through."""
    before = os.umask(0)
    try:
        make(tmp_path / "keys")
    finally:
        os.umask(before)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "alice.json").stat().st_mode & 0o777 == 0o600


def test_the_same_key_is_never_sealed_alike() -> None:
    """Two seals of one secret under one password share neither salt, nonce nor ciphertext."""
    first, second = (
        seal("a", SEED, PASSWORD, role=KeyRole.BEACON, profile=Profile.DEVNET).crypto for _ in "12"
    )
    assert first.kdf.params.salt != second.kdf.params.salt
    assert first.cipher.params.nonce != second.cipher.params.nonce
    assert first.cipher.message != second.cipher.message


def test_standard_cost_is_256_mib(tmp_path: Path) -> None:
    """Without a profile a key gets 256 MiB and 3 passes, and opens."""
    key_file = create(tmp_path, "alice", SEED, PASSWORD, role=KeyRole.ACCOUNT)
    params = key_file.crypto.kdf.params
    assert (key_file.profile, params.memory_kib, params.passes) == (Profile.STANDARD, 256 * 1024, 3)
    assert unlock(key_file, PASSWORD) == SEED


# The format of docs/spec/keys.md, written down a second time.


def build_by_the_document(role: str, public_key: str, **params: Any) -> bytes:
    """A key file made from the document alone, with other libraries where there are any."""
    kdf = {"memory_kib": 1024, "passes": 1, "lanes": 1, "salt": "5a" * 16} | params
    salt, nonce = bytes.fromhex(kdf["salt"]), b"\x17" * 24
    cost = ["argon2id", kdf["memory_kib"], kdf["passes"], kdf["lanes"], salt]
    data = msgpack.packb(["vidya keystore", 1, role, "devnet", bytes.fromhex(public_key), "", cost])
    key = argon2id.kdf(32, PASSWORD.encode(), salt, kdf["passes"], kdf["memory_kib"] * 1024)
    message = crypto_aead_xchacha20poly1305_ietf_encrypt(SEED, data, nonce, key)
    crypto = {
        "cipher": {
            "message": message.hex(),
            "params": {"nonce": nonce.hex()},
            "function": "xchacha20-poly1305",
        },
        "checksum": {"function": "sha256", "message": hashlib.sha256(data + nonce + message).hexdigest()},
        "kdf": {"function": "argon2id", "params": kdf},
    }
    head = {"version": 1, "name": "alice", "role": role, "profile": "devnet", "path": ""}
    return json.dumps(head | {"public_key": public_key, "crypto": crypto}).encode()


def test_a_file_made_by_the_document_opens() -> None:
    """A second writer of the documented format, with its members in another order, is understood."""
    data = build_by_the_document("account", bytes(SigningKey(SEED).verify_key).hex(), passes=2)
    assert unlock(decode_key_file(data), PASSWORD) == SEED


def test_a_false_public_key_is_found_on_opening() -> None:
    """A file whose writer named another public key than the secret's does not open."""
    key_file = decode_key_file(build_by_the_document("account", "11" * 32))
    with pytest.raises(InvalidKeystore, match="public key"):
        unlock(key_file, PASSWORD)


def test_the_example_of_the_document_opens() -> None:
    """The key file printed in docs/spec/keys.md opens with its password and is laid out as by us."""
    page = (Path(__file__).parents[3] / "docs" / "spec" / "keys.md").read_text()
    example = page.split("```json\n")[1].split("```")[0].encode()
    key_file = decode_key_file(example)
    assert unlock(key_file, PASSWORD) == derive("abandon " * 23 + "art", KeyRole.ACCOUNT)
    assert encode_key_file(key_file) == example


# Passwords.


@pytest.mark.parametrize("password", ["", "Correct horse", PASSWORD + " ", "\udc80", "x" * 100_000])
def test_wrong_passwords_are_refused(password: str) -> None:
    """Any other password, of any length and content, is refused, and the message does not repeat it."""
    with pytest.raises(WrongPassword) as caught:
        unlock(decode_key_file(SEALED), password)
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize("password", ["", "\n", "\x00\x7f", "x" * 1025])
def test_unfit_passwords_make_no_key(tmp_path: Path, password: str) -> None:
    """An empty password (control characters do not count) or an endless one is refused and leaves no file."""
    with pytest.raises(UnfitPassword):
        make(tmp_path, password=password)
    assert list_files(tmp_path) == []


def test_an_empty_password_on_request(tmp_path: Path) -> None:
    """With the flag a key can be made that opens with the empty password."""
    assert unlock(make(tmp_path, password="", allow_empty_password=True), "") == SEED


@pytest.mark.parametrize(
    "typed",
    [
        "Åﬁ\n",
        "A\N{COMBINING RING ABOVE}fi",
        "\N{ANGSTROM SIGN}fi",
        "\N{FULLWIDTH LATIN CAPITAL LETTER A}\u030afi",
    ],
)
def test_passwords_are_normalised(tmp_path: Path, typed: str) -> None:
    """The ways to type one letter, and the line end of a password file, make no difference (ERC-2335)."""
    assert unlock(make(tmp_path, password="Åfi"), typed) == SEED


# The directory.


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """A taken name is refused by create, import and rename, and the file there stays byte for byte."""
    make(tmp_path)
    make(tmp_path, "bob")
    before = (tmp_path / "alice.json").read_bytes()
    with pytest.raises(KeyExists):
        make(tmp_path, role=KeyRole.NETWORK)
    with pytest.raises(KeyExists):
        import_file(tmp_path, "alice", SEALED, PASSWORD)
    with pytest.raises(KeyExists):
        rename(tmp_path, "bob", "alice")
    assert (tmp_path / "alice.json").read_bytes() == before
    assert list_files(tmp_path) == ["alice.json", "bob.json"]


def test_a_damaged_file_is_not_overwritten_either(tmp_path: Path) -> None:
    """A name is taken by whatever lies there, even a link to nowhere: nothing is written through it."""
    (tmp_path / "alice.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(KeyExists):
        make(tmp_path)
    assert list_files(tmp_path) == ["alice.json"]


def test_rename_moves_the_key(tmp_path: Path) -> None:
    """A renamed key opens under the new name without having needed its password; the old name is free."""
    make(tmp_path)
    rename(tmp_path, "alice", "bob")
    assert get_names(tmp_path) == ["bob"]
    assert unlock(load(tmp_path, "bob"), PASSWORD) == SEED
    with pytest.raises(KeyNotFound):
        load(tmp_path, "alice")


def test_a_file_under_another_name_is_refused(tmp_path: Path) -> None:
    """A key file copied over to another name is not taken for that key."""
    make(tmp_path)
    (tmp_path / "bob.json").write_bytes((tmp_path / "alice.json").read_bytes())
    with pytest.raises(InvalidKeystore, match="another key"):
        load(tmp_path, "bob")


def test_import_wants_the_password(tmp_path: Path) -> None:
    """A foreign file is adopted under the name given once its password has opened it, and not before."""
    with pytest.raises(WrongPassword):
        import_file(tmp_path, "carol", SEALED, "guess")
    assert list_files(tmp_path) == []
    import_file(tmp_path, "carol", SEALED, PASSWORD)
    assert unlock(load(tmp_path, "carol"), PASSWORD) == SEED


def test_names_are_listed_in_order(tmp_path: Path) -> None:
    """Only key files are listed, by name; a directory that is not there has none."""
    for name in ("bob", "alice", "a-1_b"):
        make(tmp_path, name)
    for stray in ("Bob.json", ".hidden.json", "notes.txt", "x" * 33 + ".json"):
        (tmp_path / stray).touch()
    assert get_names(tmp_path) == ["a-1_b", "alice", "bob"]
    assert get_names(tmp_path / "missing") == []


@pytest.mark.parametrize("name", ["", "Alice", "../alice", "a/b", ".a", "-a", "a.b", "é", "a\n", "a" * 33])
def test_unfit_names_are_refused(tmp_path: Path, name: str) -> None:
    """A name cannot leave the directory, hide in it, pass for an option or differ by case only."""
    with pytest.raises(InvalidName):
        make(tmp_path, name)
    with pytest.raises(InvalidName):
        load(tmp_path, name)
    with pytest.raises(InvalidName):
        check_name(name)
    assert list_files(tmp_path) == []


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    """A pipe in place of a key does not hang, a folder does not crash, a huge file is not read whole."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    with open(tmp_path / "huge.json", "wb") as file:
        file.truncate(2**40)
    for name in ("pipe", "folder", "huge"):
        with pytest.raises(InvalidKeystore):
            load(tmp_path, name)


# Text on paper.


def test_export_gives_what_import_takes(tmp_path: Path) -> None:
    """A mnemonic is exported as words, another key as its seed; both read back and need the password."""
    make(tmp_path)
    make(tmp_path, "words", role=KeyRole.MNEMONIC)
    assert export_secret(tmp_path, "words", PASSWORD) == encode_mnemonic(SEED)
    assert export_secret(tmp_path, "alice", PASSWORD) == SEED.hex()
    for role in (KeyRole.MNEMONIC, KeyRole.ACCOUNT):
        assert decode_secret(role, encode_secret(role, SEED) + "\n") == SEED
    with pytest.raises(WrongPassword):
        export_secret(tmp_path, "alice", "guess")


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "0x" + "00" * 31, "zz" * 32, "٠" * 64])
def test_other_text_is_no_secret(text: str) -> None:
    """A seed is 64 hexadecimal digits and a mnemonic is words."""
    with pytest.raises(InvalidSecret):
        decode_secret(KeyRole.NETWORK, text)
    with pytest.raises(InvalidMnemonic):
        decode_secret(KeyRole.MNEMONIC, text)


# The process.


def run_python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode()


def test_too_little_memory_is_an_error_of_ours(tmp_path: Path) -> None:
    """Where 256 MiB cannot be had, opening a key says so and the process lives."""
    create(tmp_path, "alice", SEED, PASSWORD, role=KeyRole.ACCOUNT)
    code = (
        "import resource, sys, pathlib\n"
        "from node.keys.keystore import NotEnoughMemory, load, unlock\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (200 * 2**20, 200 * 2**20))\n"
        "try: unlock(load(pathlib.Path(sys.argv[1]), 'alice'), sys.argv[2])\n"
        "except NotEnoughMemory as error: print(error)\n"
    )
    assert "256 MiB" in run_python(code, str(tmp_path), PASSWORD)


def test_wallet_modules_import_nothing_heavy() -> None:
    """Wallet commands start fast: no event loop, network or database comes along."""
    code = "import sys, node.keys.keystore, chain.primitives.addresses; print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in run_python(code).split()}
    assert loaded.isdisjoint(
        {"trio", "asyncio", "libp2p", "plyvel", "storage", "p2p", "consensus", "fastapi"}
    )
