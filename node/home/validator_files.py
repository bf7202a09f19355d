"""The files that make a folder a validator's (its keys, and what its key has signed), and how they are moved.

An export takes both out, under a password, and marks the folder first: nothing is signed there any more. An
import puts them into the folder of a node of the same network and account, never over a sign-state that
knows more, and the node watches the chain before it signs. The consensus log does not move: the height of the
last signature is not signed again. `forget_signatures` makes new files where they are missing or damaged.

    file    = canonical [version, key file, nonce 24, sealed contents]

The key file is that of the consensus key (docs/spec/keys.md). The contents are under a key that follows from
the consensus key, by XChaCha20-Poly1305, with the key file as associated data: without the password nothing
of it can be read or replaced. All functions take the folder's lock, so no node may be running in it.

ValidatorFileError
├── InvalidExport       damaged, cut, or no export
├── WrongPlace          the folder is of another network, account or validator
└── NothingToForget     both files are whole
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from msgspec import Meta
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from chain.genesis import compute_genesis_hash
from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash, Height, PublicKey, Uint8
from node.home.config import load_config
from node.home.home import NODE_ROLES, Home, write_private
from node.keys import keystore
from node.keys.derivation import KeyRole
from node.keys.keystore import NONCE_BYTES, Profile
from storage.errors import CorruptSignState, CorruptWal, SignStateMissing, WalMissing
from storage.lock import lock_directory
from storage.sign_state import UNSIGNED, LastSignState, SignState, SignStep
from storage.wal import Wal

FILE_BYTES_MAX = 2**14
ROUND_MAX = 2**31 - 1
_VERSION = 1
REPLACED = "replaced"
"""The folder for keys that an import has replaced."""


class ValidatorFileError(Exception):
    """The base of the expected failures."""


class InvalidExport(ValidatorFileError):
    """Not an undamaged export of a validator."""


class WrongPlace(ValidatorFileError):
    """This folder is not for that validator."""


class NothingToForget(ValidatorFileError):
    """The files are there and whole."""


class Export(Record):
    """The file."""

    version: Uint8
    key_file: Annotated[bytes, Meta(max_length=keystore.FILE_BYTES_MAX)]
    nonce: Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    sealed: Annotated[bytes, Meta(max_length=FILE_BYTES_MAX)]


class Contents(Record):
    """What is sealed, beside the consensus key; `account` as in the configuration."""

    genesis_hash: Hash
    account: Annotated[str, Meta(max_length=128)]
    network_secret: Hash
    beacon_secret: Hash
    sign_state: SignState


# Export.


def export_validator(
    home: Home, file: Path, password: str, *, profile: Profile = Profile.STANDARD
) -> SignState:
    """Writes the validator of a folder to a new file; from then on nothing is signed in the folder.

    Raises FileExistsError, StorageError (in use, missing, damaged), KeystoreError.
    """
    if os.path.lexists(file):
        raise FileExistsError(f"{file} is there already")
    secrets_of = {role: home.load_secret(role) for role in NODE_ROLES}
    key = KeyPair(secrets_of[KeyRole.CONSENSUS])
    with lock_directory(home.data):
        state = LastSignState.load(home.sign_state, key.public_key)
        try:
            state.mark_moved()
            write_private(file, encode(_seal(home, secrets_of, state.state, password, profile)))
            return state.state
        finally:
            state.close()


def _seal(
    home: Home, secrets_of: dict[KeyRole, Hash], state: SignState, password: str, profile: Profile
) -> Export:
    secret = secrets_of[KeyRole.CONSENSUS]
    role = KeyRole.CONSENSUS
    key_file = keystore.encode_key_file(
        keystore.seal(role.value, secret, password, role=role, profile=profile)
    )
    contents = Contents(
        compute_genesis_hash(home.load_spec()),
        load_config(home.config_file).account,
        secrets_of[KeyRole.NETWORK],
        secrets_of[KeyRole.BEACON],
        state,
    )
    nonce = os.urandom(NONCE_BYTES)
    sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(
        encode(contents), key_file, nonce, _derive_key(secret)
    )
    return Export(_VERSION, key_file, nonce, sealed)


def _derive_key(secret: Hash) -> bytes:
    return hash_bytes(Domain.VALIDATOR_FILE, secret)


# Import.


def import_validator(home: Home, file: Path, password: str) -> SignState:
    """Makes the folder that of the validator in the file; the node watches before it signs. May be repeated
    after an interruption.

    Raises ValidatorFileError, KeystoreError, StorageError (in use, newer, of another key).
    """
    secret, contents = open_export(file, password)
    _check_place(home, contents)
    key = KeyPair(secret)
    with lock_directory(home.data):
        _set_aside_unused(home, key.public_key)
        state = LastSignState.load(home.sign_state, key.public_key, create=True)
        try:
            state.adopt(contents.sign_state)
        finally:
            state.close()
        Wal.create(home.wal, 0).close()
        others = {KeyRole.NETWORK: contents.network_secret, KeyRole.BEACON: contents.beacon_secret}
        _replace_keys(home, {KeyRole.CONSENSUS: secret, **others})
    return contents.sign_state


def is_export(data: bytes) -> bool:
    """Whether these bytes are an export of a validator."""
    try:
        decode(Export, data)
    except DecodeError:
        return False
    return True


def open_export(file: Path, password: str) -> tuple[Hash, Contents]:
    """The consensus secret and the rest; raises InvalidExport, WrongPassword."""
    with file.open("rb") as stream:
        data = stream.read(FILE_BYTES_MAX + 1)
    try:
        export = decode(Export, data)
        key_file = keystore.decode_key_file(export.key_file)
    except (DecodeError, keystore.InvalidKeystore) as error:
        raise InvalidExport(f"{file} is damaged, cut, or no export of a validator") from error
    secret = keystore.unlock(key_file, password)
    try:
        body = crypto_aead_xchacha20poly1305_ietf_decrypt(
            export.sealed, export.key_file, export.nonce, _derive_key(secret)
        )
        contents = decode(Contents, body)
    except (CryptoError, DecodeError) as error:
        raise InvalidExport(f"{file} is damaged: what is sealed in it does not verify") from error
    if contents.sign_state.public_key != KeyPair(secret).public_key:
        raise InvalidExport(f"{file}: key and sign-state do not belong together")
    return secret, contents


def _check_place(home: Home, contents: Contents) -> None:
    if compute_genesis_hash(home.load_spec()) != contents.genesis_hash:
        raise WrongPlace(f"{home.path} is a node of another network")
    account = load_config(home.config_file).account
    if account != contents.account:
        wanted = contents.account or "none"
        raise WrongPlace(f"{home.config_file} names account {account or 'none'}, the validator has {wanted}")


def _set_aside_unused(home: Home, key: PublicKey) -> None:
    """Removes the sign-state of a key that never signed; raises WrongPlace for one that did."""
    own = home.load_key(KeyRole.CONSENSUS).public_key
    if own == key or not home.sign_state.exists():
        return
    state = LastSignState.load(home.sign_state, own)
    state.close()
    if state.state.slot != UNSIGNED:
        raise WrongPlace(f"{home.path} has a validator of its own, whose key has signed; take another folder")
    home.sign_state.unlink()


def _replace_keys(home: Home, secrets_of: dict[KeyRole, Hash]) -> None:
    """Writes the validator's keys; keys that they replace are kept in a folder beside them."""
    for role, secret in secrets_of.items():
        path = home.keys / f"{role.value}.json"
        if path.exists() and home.load_secret(role) != secret:
            folder = home.keys / REPLACED
            folder.mkdir(mode=0o700, exist_ok=True)
            path.rename(folder / f"{role.value}-{keystore.load(home.keys, role.value).public_key[:16]}.json")
    home.create_keys(dict(secrets_of))


# Forgetting.


def forget_signatures(home: Home, signed_up_to: Height | None = None) -> list[Path]:
    """New files in place of a sign-state or log that is missing or damaged; returns those set aside.

    With a new sign-state the node watches first. `signed_up_to` is the operator's word that the key has
    signed nothing above that height and is in use nowhere: it signs from the next height on, without a
    watch. Raises NothingToForget, StorageError.
    """
    key = home.load_key(KeyRole.CONSENSUS).public_key
    with lock_directory(home.data):
        aside = _renew_sign_state(home, key, signed_up_to)
        aside_log = _renew_log(home)
        if aside is None and aside_log is None and signed_up_to is None:
            raise NothingToForget(f"sign-state and log in {home.data} are whole")
        return [path for path in (aside, aside_log) if path is not None and path.exists()]


def _renew_sign_state(home: Home, key: PublicKey, signed_up_to: Height | None) -> Path | None:
    """Where the old sign-state was moved to (or would have been); None if it verifies and stays."""
    aside = None
    try:
        state = LastSignState.load(home.sign_state, key)
    except (SignStateMissing, CorruptSignState):
        aside = _set_aside(home.sign_state)
        state = LastSignState.load(home.sign_state, key, create=True)
        state.begin_watch(UNSIGNED)
    try:
        state.check_here()
        if signed_up_to is not None:
            state.raise_to(signed_up_to, ROUND_MAX, SignStep.PRECOMMIT)
            state.end_watch()
    finally:
        state.close()
    return aside


def _renew_log(home: Home) -> Path | None:
    try:
        Wal.load(home.wal).close()
    except (WalMissing, CorruptWal):
        aside = _set_aside(home.wal)
        Wal.create(home.wal, 0).close()
        return aside
    return None


def _set_aside(path: Path) -> Path:
    """Renames the file to a free name, and returns that name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    with suppress(FileNotFoundError):
        path.rename(aside)
    return aside
