"""Key files: round trips, the documented format, and refusal of every kind of damage without cost or loss."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt
from nacl.pwhash import argon2id
from nacl.signing import SigningKey

from node.derivation import InvalidMnemonic, InvalidPath, Role, derive, encode_mnemonic
from node.keystore import (
    FILE_BYTES_MAX,
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
SEALED = encode_key_file(seal("alice", SEED, PASSWORD, role=Role.ACCOUNT, profile=Profile.DEVNET))


def make(directory: Path, name: str = "alice", **changes: Any) -> KeyFile:
    """A cheap account key in `directory`."""
    options = {"role": Role.ACCOUNT, "profile": Profile.DEVNET} | changes
    return create(directory, name, SEED, options.pop("password", PASSWORD), **options)


def list_files(directory: Path) -> list[str]:
    """Every file there, hidden ones too."""
    return sorted(os.listdir(directory))


# Round trips.


@pytest.mark.parametrize("role", list(Role))
def test_a_key_comes_back(tmp_path: Path, role: Role) -> None:
    """What was created is loaded equal, opens with its password, and is the only file in the directory."""
    made = make(tmp_path, role=role)
    assert load(tmp_path, "alice") == made
    assert unlock(made, PASSWORD) == SEED
    assert list_files(tmp_path) == ["alice.json"]


def test_the_public_key_is_readable_without_password(tmp_path: Path) -> None:
    """A key file shows the public key of its seed; a mnemonic shows that of its first account."""
    account = derive(encode_mnemonic(SEED), Role.ACCOUNT, 0)
    assert make(tmp_path).address == bytes(SigningKey(SEED).verify_key)
    assert make(tmp_path, "words", role=Role.MNEMONIC).address == bytes(SigningKey(account).verify_key)


def test_the_path_is_recorded(tmp_path: Path) -> None:
    """A key of a mnemonic keeps its path, another has none, an index out of bounds makes no file."""
    assert make(tmp_path, role=Role.CONSENSUS, index=2).path == "m/44'/84392'/1'/2'"
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
    first, second = (seal("a", SEED, PASSWORD, role=Role.BEACON, profile=Profile.DEVNET).crypto for _ in "12")
    assert first.kdf.params.salt != second.kdf.params.salt
    assert first.cipher.params.nonce != second.cipher.params.nonce
    assert first.cipher.message != second.cipher.message


def test_standard_cost_is_256_mib(tmp_path: Path) -> None:
    """Without a profile a key gets 256 MiB and 3 passes, and opens."""
    key_file = create(tmp_path, "alice", SEED, PASSWORD, role=Role.ACCOUNT)
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
    page = (Path(__file__).parents[2] / "docs" / "spec" / "keys.md").read_text()
    example = page.split("```json\n")[1].split("```")[0].encode()
    key_file = decode_key_file(example)
    assert unlock(key_file, PASSWORD) == derive("abandon " * 23 + "art", Role.ACCOUNT)
    assert encode_key_file(key_file) == example


# Damage. None of these tests gives a password: what they find costs no Argon2id.


def is_refused_when_loaded(data: bytes) -> bool:
    """Whether `data` is no key file for the name of the sealed one."""
    try:
        return decode_key_file(data).name != "alice"
    except InvalidKeystore:
        return True


def test_every_flipped_bit_is_found() -> None:
    """No single bit of a key file can change without the file being refused."""
    for bit in range(len(SEALED) * 8):
        damaged = bytearray(SEALED)
        damaged[bit // 8] ^= 1 << bit % 8
        assert is_refused_when_loaded(bytes(damaged)), bit


@given(st.integers(0, len(SEALED)), st.integers(0, len(SEALED)), st.binary(max_size=80))
def test_overwritten_stretches_change_nothing_unseen(start: int, stop: int, filling: bytes) -> None:
    """Any stretch replaced by any bytes: the file is refused, or says exactly what it said before."""
    data = SEALED[:start] + filling + SEALED[stop:]
    assert is_refused_when_loaded(data) or decode_key_file(data) == decode_key_file(SEALED)


@given(st.sets(st.integers(0, len(SEALED) * 8 - 1), min_size=1, max_size=20))
def test_many_flipped_bits_are_found(bits: set[int]) -> None:
    """Several flipped bits do not make up for one another."""
    damaged = bytearray(SEALED)
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
    data = bytes(damaged)
    assert is_refused_when_loaded(data) or decode_key_file(data) == decode_key_file(SEALED)


def test_every_truncation_is_found() -> None:
    """A file cut anywhere is refused; only the last line feed may be missing."""
    for size in range(len(SEALED) - 1):
        with pytest.raises(InvalidKeystore):
            decode_key_file(SEALED[:size])


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_refused_in_one_way(data: bytes) -> None:
    """Whatever the bytes, the only failure is InvalidKeystore."""
    with pytest.raises(InvalidKeystore):
        decode_key_file(data)


def change(path: str, value: object) -> bytes:
    """The sealed file with one member replaced (or added, or with None removed) and the rest kept."""
    document = json.loads(SEALED)
    *parents, last = path.split(".")
    part = document
    for parent in parents:
        part = part[parent]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return json.dumps(document).encode()


MEMORY, PASSES = "crypto.kdf.params.memory_kib", "crypto.kdf.params.passes"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 2),
        ("version", "1"),
        ("role", "admin"),
        ("role", "consensus"),
        ("profile", "none"),
        ("public_key", "11" * 32),
        ("path", "m/44'/84392'/0'/1'"),
        ("path", "../secret"),
        ("owner", "mallory"),
        ("crypto", []),
        ("crypto.kdf.function", "argon2i"),
        ("crypto.kdf.function", None),
        ("crypto.kdf.params.salt", "00" * 16),
        ("crypto.kdf.params.salt", "00" * 15),
        ("crypto.kdf.params.salt", "zz" * 16),
        ("crypto.kdf.params.lanes", 2),
        ("crypto.cipher.function", "none"),
        ("crypto.cipher.params.nonce", "00" * 24),
        ("crypto.cipher.message", "00" * 48),
        ("crypto.cipher.message", ""),
        ("crypto.checksum.function", "crc32"),
        ("crypto.checksum.message", "00" * 32),
        (MEMORY, 2048),
        (MEMORY, 0),
        (MEMORY, -1),
        (MEMORY, 1024.5),
        (MEMORY, 2**63),
        (MEMORY, 10**400),
        (PASSES, 2),
        (PASSES, 0),
        (PASSES, 2**31),
    ],
)
def test_changed_members_are_refused(path: str, value: object) -> None:
    """A key file with one member changed, missing or added is refused before anything is computed from it."""
    with pytest.raises(InvalidKeystore):
        decode_key_file(change(path, value))


@pytest.mark.parametrize(
    ("memory_kib", "passes", "message"),
    [
        (2**20 + 1, 1, "<= 1048576"),
        (1024, 17, "<= 16"),
        (2**20, 5, "more work than allowed"),
        (2**19, 9, "more work than allowed"),
        (1023, 1, "weaker than its profile"),
    ],
)
def test_costs_out_of_bounds_are_refused(memory_kib: int, passes: int, message: str) -> None:
    """Numbers that nobody should pay for, or that protect too little, are refused for that reason."""
    document = json.loads(change(MEMORY, memory_kib))
    document["crypto"]["kdf"]["params"]["passes"] = passes
    with pytest.raises(InvalidKeystore, match=message):
        decode_key_file(json.dumps(document).encode())


@pytest.mark.parametrize(("memory_kib", "passes"), [(1024, 1), (256 * 1024 - 1, 3), (256 * 1024, 2)])
def test_a_cheap_key_cannot_pass_for_a_standard_one(memory_kib: int, passes: int) -> None:
    """A file marked as standard that asks for less memory or fewer passes than that is refused."""
    document = json.loads(change("profile", "standard"))
    document["crypto"]["kdf"]["params"] |= {"memory_kib": memory_kib, "passes": passes}
    with pytest.raises(InvalidKeystore, match="weaker than its profile 'standard'"):
        decode_key_file(json.dumps(document).encode())


def test_whole_modules_cannot_be_swapped() -> None:
    """The cipher part of another key of the same password does not fit into a file."""
    other = seal("alice", bytes(32), PASSWORD, role=Role.ACCOUNT, profile=Profile.DEVNET)
    other_crypto = json.loads(encode_key_file(other))["crypto"]
    for part in ("kdf", "cipher", "checksum"):
        with pytest.raises(InvalidKeystore, match="checksum"):
            decode_key_file(change(f"crypto.{part}", other_crypto[part]))


@pytest.mark.parametrize(("member", "value"), [("path", "m/0'"), ("role", "consensus")])
def test_forgery_with_a_right_checksum_does_not_open(member: str, value: str) -> None:
    """Who alters a file and repairs its checksum is stopped by the cipher."""
    forged = json.loads(change(member, value))
    crypto = forged["crypto"]
    params = crypto["kdf"]["params"]
    cost = ["argon2id", params["memory_kib"], params["passes"], 1, bytes.fromhex(params["salt"])]
    public_key = bytes.fromhex(forged["public_key"])
    data = msgpack.packb(["vidya keystore", 1, forged["role"], "devnet", public_key, forged["path"], cost])
    sealed = crypto["cipher"]["params"]["nonce"] + crypto["cipher"]["message"]
    crypto["checksum"]["message"] = hashlib.sha256(data + bytes.fromhex(sealed)).hexdigest()
    with pytest.raises(WrongPassword):
        unlock(decode_key_file(json.dumps(forged).encode()), PASSWORD)


def test_deep_nesting_is_refused() -> None:
    """Brackets up to the size limit end in a refusal; a larger file is not parsed at all."""
    with pytest.raises(InvalidKeystore):
        decode_key_file(b"[" * FILE_BYTES_MAX)
    with pytest.raises(InvalidKeystore, match="longer than"):
        decode_key_file(SEALED + b" " * FILE_BYTES_MAX)


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
    """Who asks for it by the flag gets a key that opens with the empty password."""
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
        make(tmp_path, role=Role.NETWORK)
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
    make(tmp_path, "words", role=Role.MNEMONIC)
    assert export_secret(tmp_path, "words", PASSWORD) == encode_mnemonic(SEED)
    assert export_secret(tmp_path, "alice", PASSWORD) == SEED.hex()
    for role in (Role.MNEMONIC, Role.ACCOUNT):
        assert decode_secret(role, encode_secret(role, SEED) + "\n") == SEED
    with pytest.raises(WrongPassword):
        export_secret(tmp_path, "alice", "guess")


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "0x" + "00" * 31, "zz" * 32, "٠" * 64])
def test_other_text_is_no_secret(text: str) -> None:
    """A seed is 64 hexadecimal digits and a mnemonic is words."""
    with pytest.raises(InvalidSecret):
        decode_secret(Role.NETWORK, text)
    with pytest.raises(InvalidMnemonic):
        decode_secret(Role.MNEMONIC, text)


# The process.


def run_python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode()


def test_too_little_memory_is_an_error_of_ours(tmp_path: Path) -> None:
    """Where 256 MiB cannot be had, opening a key says so and the process lives."""
    create(tmp_path, "alice", SEED, PASSWORD, role=Role.ACCOUNT)
    code = (
        "import resource, sys, pathlib\n"
        "from node.keystore import NotEnoughMemory, load, unlock\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (200 * 2**20, 200 * 2**20))\n"
        "try: unlock(load(pathlib.Path(sys.argv[1]), 'alice'), sys.argv[2])\n"
        "except NotEnoughMemory as error: print(error)\n"
    )
    assert "256 MiB" in run_python(code, str(tmp_path), PASSWORD)


def test_wallet_modules_import_nothing_heavy() -> None:
    """Wallet commands start fast: no event loop, network or database comes along."""
    code = "import sys, node.keystore, chain.primitives.addresses; print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in run_python(code).split()}
    assert loaded.isdisjoint(
        {"trio", "asyncio", "libp2p", "plyvel", "storage", "p2p", "consensus", "fastapi"}
    )
