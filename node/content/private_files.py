"""Files that open a door are never published: keys, passwords, tokens, recovery phrases, a validator's state.

A file is recognised by what it is, not by its name, and only its beginning is read: a folder is looked at
before anything of it goes into the store. Who means to give such a file away can pack it.
"""

import json
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from node.home.validator_files import is_export
from node.keys.derivation import is_mnemonic
from storage.content.errors import SourceRefused
from storage.sign_state import is_sign_state

LOOKED_AT_BYTES = 16 * 2**10
SECRET_CHARS_MIN, SECRET_CHARS_MAX = 6, 512
NAMED_MAX = 5
_PRIVATE_KEY = re.compile(
    rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|AGE-SECRET-KEY-1|PuTTY-User-Key-File-"
)
_NUMBER = re.compile(rb"v?[0-9.]+")
_STATE_MAGIC = (b"vsig", b"vidyawal")
"""Of the log of signatures and of the consensus log."""
_SECRET_FIELDS = frozenset(("voucher_secret", "mnemonic", "private_key", "privateKey", "secret_key"))


class PrivateFile(SourceRefused):
    """Something that opens a door is among the files."""


def check_public(path: Path) -> None:
    """Raises PrivateFile if the file, or a file below the folder, is one that nobody should publish."""
    found = [(file, kind) for file in list_files(path) if (kind := recognise(file)) is not None]
    if not found:
        return
    named = "; ".join(f"{file} is {kind}" for file, kind in found[:NAMED_MAX])
    more = f"; and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
    raise PrivateFile(f"this would give away what is private: {named}{more}")


def list_files(path: Path) -> Iterator[Path]:
    """Regular files, none behind a symbolic link."""
    if path.is_file():
        yield path
        return
    for one in sorted(path.rglob("*")):
        if stat.S_ISREG(one.lstat().st_mode):
            yield one


def recognise(file: Path) -> str | None:
    """What a file is, if it opens a door; None for all others, and for one that cannot be read."""
    try:
        size, mode = file.stat().st_size, file.stat().st_mode
        with file.open("rb") as stream:
            head = stream.read(LOOKED_AT_BYTES)
    except OSError:
        return None
    if _PRIVATE_KEY.search(head):
        return "a private key"
    if head.startswith(_STATE_MAGIC) or is_sign_state(head):
        return "what a validator has signed"
    if size > LOOKED_AT_BYTES:
        return None
    return next((kind for kind, is_that in _WHOLE.items() if is_that(head, mode)), None)


def _is_keystore(head: bytes, _: int) -> bool:
    """ERC-2335 and what is shaped like it, Web3 keystores too: a cipher and how its key is derived."""
    return any("crypto" in one or "Crypto" in one for one in _list_objects(head))


def _has_secret_field(head: bytes, _: int) -> bool:
    return any(_SECRET_FIELDS & one.keys() for one in _list_objects(head))


def _list_objects(head: bytes) -> list[dict[str, Any]]:
    """The JSON object in the file, or those of its list."""
    try:
        found = json.loads(head)
    except (ValueError, RecursionError):
        return []
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]


def _is_phrase(head: bytes, _: int) -> bool:
    return is_mnemonic(head.decode("utf-8", "replace"))


def _is_validator(head: bytes, _: int) -> bool:
    return is_export(head)


def _is_secret_word(head: bytes, mode: int) -> bool:
    """One word that only its owner may read: passwords and tokens are kept so."""
    is_own, words = not mode & 0o077, head.split()
    if not is_own or len(words) != 1 or not SECRET_CHARS_MIN <= len(words[0]) <= SECRET_CHARS_MAX:
        return False
    # A version or a process id is no secret, even where all of somebody's files are private.
    return words[0].isascii() and _NUMBER.fullmatch(words[0]) is None


_WHOLE: dict[str, Callable[[bytes, int], bool]] = {
    "a key under a password": _is_keystore,
    "a secret of a program": _has_secret_field,
    "a recovery phrase": _is_phrase,
    "a validator under a password": _is_validator,
    "a password or token": _is_secret_word,
}
"""What a small file may be -> whether it is."""
