"""The manifest: the names and sizes of a datum's files, and the root of its bytes.

The bytes of a datum are its files in the order of their paths, one after another. A manifest names no
offsets (they follow from the sizes), no folders (they follow from the paths; empty ones are not carried), and
no owner, mode or time: equal files under equal paths have one id.

The id is the hash of (hash of the files, length, root). So the chain, which never sees the files, computes it
from a listing, and no datum is in the catalogue with a root or length that is not its own.

Invariant of a checked manifest: if its files are written below any folder, on any common system, they stay
inside the folder and no two have the same path. The contents of files are not checked here. Only
`compute_listed_id` is part of the state transition, because Unicode tables differ between Python versions.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from chain.content.tree import DATUM_BYTES_MAX
from chain.errors import ChainError
from chain.primitives.codec import Record, check_bounds, decode, encode
from chain.primitives.hashing import Domain, hash_record
from chain.primitives.types import Hash, Uint

FILES_MAX = 65_536
PATH_BYTES_MAX = 1024
PATH_PARTS_MAX = 32
PART_BYTES_MAX = 255
"""The longest file name of common file systems."""
MANIFEST_BYTES_MAX = 8 * 2**20

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
"""Control characters, characters that Windows reserves (`:` for drives and streams), line separators, marks
that change the reading direction, and lone surrogates."""
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\xb9\xb2\xb3]) *(\.|$)", re.ASCII | re.IGNORECASE
)
"""Names of Windows devices, with any extension."""


class InvalidManifest(ChainError):
    """The manifest breaks a rule; none of its files may be written."""


class FileEntry(Record):
    """One file: its path below the datum's folder, with `/` between parts, and its size in bytes."""

    path: Annotated[str, Meta(min_length=1, max_length=PATH_BYTES_MAX)]
    size: Uint


class Manifest(Record):
    """The files of a datum in path order, the sum of their sizes, and the root over their bytes."""

    files: Annotated[tuple[FileEntry, ...], Meta(min_length=1, max_length=FILES_MAX)]
    length: Annotated[int, Meta(ge=1, le=DATUM_BYTES_MAX)]
    root: Hash


def compute_files_hash(manifest: Manifest) -> Hash:
    """The hash of the files' paths and sizes, as a listing names it."""
    return hash_record(Domain.MANIFEST_FILES, manifest.files)


def compute_listed_id(files_hash: Hash, length: int, root: Hash) -> Hash:
    """The id of the datum with these files, length and root."""
    return hash_record(Domain.MANIFEST, (files_hash, length, root))


def compute_datum_id(manifest: Manifest) -> Hash:
    """The id of a datum."""
    return compute_listed_id(compute_files_hash(manifest), manifest.length, manifest.root)


def build_manifest(files: tuple[FileEntry, ...], root: Hash) -> Manifest:
    """A checked manifest of files in path order; raises InvalidManifest or DecodeError."""
    return _checked(check_bounds(Manifest(files, sum(entry.size for entry in files), root)))


def decode_manifest(data: bytes) -> Manifest:
    """A checked manifest from untrusted bytes; raises DecodeError or InvalidManifest."""
    return _checked(decode(Manifest, data, MANIFEST_BYTES_MAX))


def check_manifest(manifest: Manifest) -> None:
    """Raises InvalidManifest unless every rule on paths, order and sizes holds."""
    if sum(entry.size for entry in manifest.files) != manifest.length:
        raise InvalidManifest("the sizes do not add up to the length")
    check_paths([entry.path for entry in manifest.files])
    if len(encode(manifest)) > MANIFEST_BYTES_MAX:
        raise InvalidManifest(f"longer than {MANIFEST_BYTES_MAX} bytes")


def check_paths(paths: Sequence[str]) -> None:
    """Raises InvalidManifest unless files of these names, in this order, can make a manifest."""
    if not 1 <= len(paths) <= FILES_MAX:
        raise InvalidManifest(f"{len(paths)} files; a manifest has 1 to {FILES_MAX}")
    for path in paths:
        check_path(path)
    _check_order(paths)
    _check_places(paths)


def check_path(path: str) -> None:
    """Raises InvalidManifest unless a manifest may have `path`; says nothing about its order."""
    found = _FORBIDDEN.search(path)
    if found:
        raise InvalidManifest(f"{path!a} has the character U+{ord(found.group()):04X}")
    if len(path.encode()) > PATH_BYTES_MAX:
        raise InvalidManifest(f"{path!a} is longer than {PATH_BYTES_MAX} bytes")
    if unicodedata.normalize("NFC", path) != path:
        raise InvalidManifest(f"{path!a} is not in Unicode normal form C")
    parts = path.split("/")
    if len(parts) > PATH_PARTS_MAX:
        raise InvalidManifest(f"{path!a} has more than {PATH_PARTS_MAX} parts")
    for part in parts:
        _check_part(path, part)


def _check_part(path: str, part: str) -> None:
    if part in ("", ".", ".."):
        raise InvalidManifest(f"{path!a} is absolute, climbs, or has an empty part")
    if part[-1] in ". " or part[0] == " ":
        raise InvalidManifest(f"{path!a} has a part that begins with a space or ends with a space or dot")
    if _DEVICE.match(part):
        raise InvalidManifest(f"{path!a} has a part that is the name of a device")
    if len(part.encode()) > PART_BYTES_MAX:
        raise InvalidManifest(f"{path!a} has a part longer than {PART_BYTES_MAX} bytes")


def _check_order(paths: Sequence[str]) -> None:
    """Raises InvalidManifest unless paths ascend strictly by code points (the order of their UTF-8 bytes)."""
    for earlier, later in pairwise(paths):
        if later <= earlier:
            raise InvalidManifest(f"{later!a} comes after {earlier!a}")


def _check_places(paths: Sequence[str]) -> None:
    """Raises InvalidManifest if paths differ only by case or normal form, or a file is a folder too."""
    places: dict[str, tuple[str, bool]] = {}
    for path in paths:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            _claim(places, "/".join(parts[:depth]), is_folder=True)
        _claim(places, path, is_folder=False)


def _claim(places: dict[str, tuple[str, bool]], path: str, *, is_folder: bool) -> None:
    holder = places.setdefault(_fold(path), (path, is_folder))
    if holder != (path, is_folder):
        raise InvalidManifest(f"{path!a} takes the place of {holder[0]!a} on some systems")


@lru_cache(maxsize=4096)
def _fold(path: str) -> str:
    """The canonical caseless form (Unicode standard, section 3.13, D145)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def _checked(manifest: Manifest) -> Manifest:
    check_manifest(manifest)
    return manifest
