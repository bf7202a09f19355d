"""Key files: one secret of 32 bytes under a password, as JSON with named parts (the shape of ERC-2335).

The password goes through Argon2id, the secret through XChaCha20-Poly1305; everything that decides what the
secret is for or what opening it costs is associated data. A checksum over public parts tells damage from a
wrong password before any cost is paid. docs/spec/keys.md is the format's description.

Invariants: a file appears whole, with mode 0600, and never in the place of another; a number out of a file
is bounded before it is used; no secret and no password is in an error or a `repr`.
It does not ask for passwords, does not wipe memory (Python cannot), and is no lock against two nodes with
one consensus key. Opening a file takes half a second of one core: call it before the event loop starts.
Failures of the disk stay OSError. Its own errors:

KeystoreError
├── InvalidName         no name for a file
├── KeyExists           the name is taken; nothing was written
├── KeyNotFound         no such name
├── InvalidKeystore     damaged, cut off, or with parameters out of bounds
├── InvalidSecret       text from which no key can be imported
├── UnfitPassword       empty, or too long; at creation only
├── WrongPassword       the password does not open it (or the file was altered on purpose)
└── NotEnoughMemory     this machine has less memory than the file asks for
"""

import hashlib
import os
import re
import secrets
import stat
import unicodedata
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from chain.primitives.codec import encode
from chain.primitives.keys import SEED_BYTES, KeyPair
from chain.primitives.types import Address
from node.keys.derivation import KeyRole, build_path, decode_mnemonic, derive, encode_mnemonic, format_path

FILE_BYTES_MAX = 4096
NAME_CHARS_MAX = 32
PASSWORD_BYTES_MAX = 1024
MEMORY_KIB_MAX = 2**20
PASSES_MAX = 16
WORK_KIB_MAX = 2**22
"""The bound of memory times passes: about 4 seconds of one core."""
SALT_BYTES = 16
NONCE_BYTES = 24

KEY_BYTES = 32

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_SECRET = re.compile(r"[0-9a-fA-F]{64}")
_TITLE = "vidya keystore"


class KeystoreError(Exception):
    """The base of the expected failures of key files."""


class InvalidName(KeystoreError):
    """Not a name for a key."""


class KeyExists(KeystoreError):
    """There is a key of this name already."""


class KeyNotFound(KeystoreError):
    """There is no key of this name."""


class InvalidKeystore(KeystoreError):
    """The file is damaged, or its parameters are out of bounds."""


class InvalidSecret(KeystoreError):
    """Not the text of a secret."""


class UnfitPassword(KeystoreError):
    """The password is empty or too long for a new key."""


class WrongPassword(KeystoreError):
    """The password does not open this key file."""


class NotEnoughMemory(KeystoreError):
    """Argon2id could not allocate its memory."""


class Profile(StrEnum):
    """The cost of trying a password. `DEVNET` is for devnets and tests: it protects nothing of value."""

    STANDARD = "standard"
    DEVNET = "devnet"


_COSTS = {Profile.STANDARD: (256 * 1024, 3), Profile.DEVNET: (1024, 1)}
"""Memory in KiB and passes: what new files get, and the least that a file so marked may ask for."""

HexSalt = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
HexNonce = Annotated[str, Meta(pattern=r"\A[0-9a-f]{48}\Z")]
HexHash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
HexMessage = Annotated[str, Meta(pattern=r"\A[0-9a-f]{96}\Z")]
"""32 bytes of secret and 16 of authentication."""
PathText = Annotated[str, Meta(pattern=r"\A(m(/[0-9]{1,10}'){1,8})?\Z")]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the parts of a key file: JSON objects with exactly the named members."""


class KdfParameters(_Part, frozen=True):
    """Argon2id (RFC 9106)."""

    memory_kib: Annotated[int, Meta(ge=1, le=MEMORY_KIB_MAX)]
    passes: Annotated[int, Meta(ge=1, le=PASSES_MAX)]
    lanes: Literal[1]
    salt: HexSalt


class CipherParameters(_Part, frozen=True):
    """XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha)."""

    nonce: HexNonce


class Kdf(_Part, frozen=True):
    """How the password becomes a key."""

    function: Literal["argon2id"]
    params: KdfParameters


class Checksum(_Part, frozen=True):
    """Finds damage without the password; no protection against deliberate changes."""

    function: Literal["sha256"]
    message: HexHash


class Cipher(_Part, frozen=True):
    """How the key hides the secret."""

    function: Literal["xchacha20-poly1305"]
    params: CipherParameters
    message: HexMessage


class Crypto(_Part, frozen=True):
    """The three modules of ERC-2335."""

    kdf: Kdf
    checksum: Checksum
    cipher: Cipher


class KeyFile(_Part, frozen=True):
    """A key file: everything about a key that is readable without its password."""

    version: Literal[1]
    name: str
    role: KeyRole
    profile: Profile
    public_key: HexHash
    path: PathText
    crypto: Crypto

    @property
    def address(self) -> Address:
        """The public key as bytes; of a mnemonic, that of its first account."""
        return bytes.fromhex(self.public_key)

    @property
    def associated_data(self) -> bytes:
        """What the cipher authenticates beside the secret."""
        return _build_associated_data(self.role, self.profile, self.public_key, self.path, self.crypto.kdf)


# One file: bytes, record, secret.


def encode_key_file(key: KeyFile) -> bytes:
    """The JSON text of a key file."""
    return msgspec.json.format(msgspec.json.encode(key), indent=2) + b"\n"


def decode_key_file(data: bytes) -> KeyFile:
    """The key file in `data`, with bounds and checksum checked at no cost; raises InvalidKeystore."""
    if len(data) > FILE_BYTES_MAX:
        raise InvalidKeystore(f"longer than a key file can be ({FILE_BYTES_MAX} bytes)")
    try:
        key = msgspec.json.decode(data, type=KeyFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidKeystore(f"damaged, or no key file of version 1: {error}") from error
    _check_cost(key.profile, key.crypto.kdf.params)
    if key.crypto.checksum.message != _compute_checksum(key.associated_data, key.crypto.cipher):
        raise InvalidKeystore("the checksum does not fit: the file is damaged")
    return key


def seal(
    name: str,
    secret: bytes,
    password: str,
    *,
    role: KeyRole,
    path: str = "",
    profile: Profile = Profile.STANDARD,
) -> KeyFile:
    """A new key file that holds `secret`, with a fresh salt and nonce."""
    memory_kib, passes = _COSTS[profile]
    salt, nonce = secrets.token_hex(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    kdf = Kdf("argon2id", KdfParameters(memory_kib, passes, 1, salt))
    public_key = _compute_public_key(role, secret).hex()
    associated_data = _build_associated_data(role, profile, public_key, path, kdf)
    key = _stretch(_normalise(password), kdf.params)
    message = crypto_aead_xchacha20poly1305_ietf_encrypt(secret, associated_data, nonce, key)
    cipher = Cipher("xchacha20-poly1305", CipherParameters(nonce.hex()), message.hex())
    checksum = Checksum("sha256", _compute_checksum(associated_data, cipher))
    return KeyFile(1, name, role, profile, public_key, path, Crypto(kdf, checksum, cipher))


def unlock(key_file: KeyFile, password: str) -> bytes:
    """The secret: a seed, or the entropy of a mnemonic. Raises WrongPassword, NotEnoughMemory."""
    normal = _normalise(password)
    if len(normal) > PASSWORD_BYTES_MAX:
        raise WrongPassword(f"no password is longer than {PASSWORD_BYTES_MAX} bytes")
    cipher = key_file.crypto.cipher
    message, nonce = bytes.fromhex(cipher.message), bytes.fromhex(cipher.params.nonce)
    key = _stretch(normal, key_file.crypto.kdf.params)
    try:
        secret = crypto_aead_xchacha20poly1305_ietf_decrypt(message, key_file.associated_data, nonce, key)
    except CryptoError:
        raise WrongPassword(f"the password does not open the key {key_file.name!r}") from None
    if _compute_public_key(key_file.role, secret).hex() != key_file.public_key:
        raise InvalidKeystore("the secret inside is not that of the public key outside")
    return secret


def encode_secret(role: KeyRole, secret: bytes) -> str:
    """A secret as text: 24 words for a mnemonic, else 64 hexadecimal digits."""
    return encode_mnemonic(secret) if role is KeyRole.MNEMONIC else secret.hex()


def decode_secret(role: KeyRole, text: str) -> bytes:
    """The secret in what `encode_secret` wrote; raises InvalidMnemonic or InvalidSecret."""
    if role is KeyRole.MNEMONIC:
        return decode_mnemonic(text)
    if not _SECRET.fullmatch(text.strip()):
        raise InvalidSecret(f"a seed is written as {SEED_BYTES * 2} hexadecimal digits")
    return bytes.fromhex(text.strip())


# A directory of files.


def create(
    directory: Path,
    name: str,
    secret: bytes,
    password: str,
    *,
    role: KeyRole,
    index: int | None = None,
    profile: Profile = Profile.STANDARD,
    allow_empty_password: bool = False,
) -> KeyFile:
    """Keeps `secret` under a new name. `index` records its place under a mnemonic, where it has one.

    Raises InvalidName, UnfitPassword, InvalidPath or KeyExists before the password is stretched.
    """
    check_name(name)
    _check_password(password, allow_empty_password)
    path = "" if index is None else format_path(build_path(role, index))
    if _locate(directory, name).exists():
        raise KeyExists(f"there is a key named {name!r}")
    key_file = seal(name, secret, password, role=role, path=path, profile=profile)
    _save(directory, key_file)
    return key_file


def load(directory: Path, name: str) -> KeyFile:
    """The key file of this name, checked as far as that goes without its password."""
    check_name(name)
    path = _locate(directory, name)
    try:
        key_file = decode_key_file(_read(path))
    except InvalidKeystore as error:
        raise InvalidKeystore(f"key file {path}: {error}") from error
    if key_file.name != name:
        raise InvalidKeystore(f"the file of {name!r} says that it is another key's")
    return key_file


def get_names(directory: Path) -> list[str]:
    """The names of all keys, sorted; the files are not checked."""
    return sorted(path.stem for path in directory.glob("*.json") if _is_name(path.stem))


def import_file(directory: Path, name: str, data: bytes, password: str) -> KeyFile:
    """Adopts a key file made elsewhere, under `name`, once `password` has opened it."""
    check_name(name)
    key_file = decode_key_file(data)
    unlock(key_file, password)
    key_file = msgspec.structs.replace(key_file, name=name)
    _save(directory, key_file)
    return key_file


def export_secret(directory: Path, name: str, password: str) -> str:
    """The words or the seed of a key, as text; needs the password."""
    key_file = load(directory, name)
    return encode_secret(key_file.role, unlock(key_file, password))


def rename(directory: Path, name: str, new_name: str) -> KeyFile:
    """Renames a key. After an interruption both names may hold it."""
    check_name(new_name)
    key_file = msgspec.structs.replace(load(directory, name), name=new_name)
    _save(directory, key_file)
    _locate(directory, name).unlink()
    _sync(directory)
    return key_file


def check_name(name: str) -> None:
    """Raises InvalidName for what could leave the directory, hide in it, or differ between file systems."""
    if not _is_name(name):
        raise InvalidName(f"a name is 1-{NAME_CHARS_MAX} of a-z, 0-9, - and _, a letter or digit first")


def _is_name(text: str) -> bool:
    return len(text) <= NAME_CHARS_MAX and _NAME.fullmatch(text) is not None


# Cryptography.


def _build_associated_data(role: KeyRole, profile: Profile, public_key: str, path: str, kdf: Kdf) -> bytes:
    """All but the name (so that renaming needs no password), in the chain's canonical encoding."""
    params = kdf.params
    cost = (kdf.function, params.memory_kib, params.passes, params.lanes, bytes.fromhex(params.salt))
    return encode((_TITLE, 1, role.value, profile.value, bytes.fromhex(public_key), path, cost))


def _compute_checksum(associated_data: bytes, cipher: Cipher) -> str:
    sealed = bytes.fromhex(cipher.params.nonce) + bytes.fromhex(cipher.message)
    return hashlib.sha256(associated_data + sealed).hexdigest()


def _compute_public_key(role: KeyRole, secret: bytes) -> Address:
    seed = derive(encode_mnemonic(secret), KeyRole.ACCOUNT) if role is KeyRole.MNEMONIC else secret
    return KeyPair(seed).public_key


def _check_cost(profile: Profile, params: KdfParameters) -> None:
    memory_kib_min, passes_min = _COSTS[profile]
    if params.memory_kib * params.passes > WORK_KIB_MAX:
        raise InvalidKeystore(f"{params.passes} passes over {params.memory_kib} KiB: more work than allowed")
    if params.memory_kib < memory_kib_min or params.passes < passes_min:
        raise InvalidKeystore(f"weaker than its profile {profile.value!r} may be")


def _stretch(password: bytes, params: KdfParameters) -> bytes:
    salt, memory_bytes = bytes.fromhex(params.salt), params.memory_kib * 1024
    try:
        return argon2id.kdf(KEY_BYTES, password, salt, opslimit=params.passes, memlimit=memory_bytes)
    except RuntimeError as error:
        # The only failure libsodium has left within the bounds.
        raise NotEnoughMemory(f"opening this key takes {params.memory_kib // 1024} MiB of memory") from error


def _normalise(password: str) -> bytes:
    """The same bytes for the same password on every keyboard (ERC-2335, password requirements)."""
    normal = unicodedata.normalize("NFKD", password)
    typed = "".join(character for character in normal if unicodedata.category(character) != "Cc")
    # A password from the environment may hold bytes that are not UTF-8, as lone surrogates.
    return typed.encode("utf-8", "surrogatepass")


def _check_password(password: str, allow_empty_password: bool) -> None:
    size = len(_normalise(password))
    if size > PASSWORD_BYTES_MAX:
        raise UnfitPassword(f"{size} bytes, at most {PASSWORD_BYTES_MAX} are possible")
    if size == 0 and not allow_empty_password:
        raise UnfitPassword("the password is empty")


# Disk.


def _locate(directory: Path, name: str) -> Path:
    return directory / f"{name}.json"


def _read(path: Path) -> bytes:
    """Reads at most one byte more than allowed, and only regular files: a pipe would block forever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyNotFound(f"there is no key named {path.stem!r} in {path.parent}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidKeystore("no regular file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(FILE_BYTES_MAX + 1)
    finally:
        os.close(descriptor)


def _save(directory: Path, key_file: KeyFile) -> None:
    """Makes the file appear whole under its name, or not at all; raises KeyExists if the name is taken."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = directory / f".{key_file.name}.{secrets.token_hex(8)}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(encode_key_file(key_file))
            file.flush()
            os.fsync(descriptor)
        # Unlike a rename, a link never replaces.
        os.link(draft, _locate(directory, key_file.name))
    except FileExistsError:
        raise KeyExists(f"there is a key named {key_file.name!r}") from None
    finally:
        draft.unlink(missing_ok=True)
    _sync(directory)


def _sync(directory: Path) -> None:
    """Syncs the names in `directory`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
