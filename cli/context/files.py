"""Small files that people name on the command line: text and JSON, of bounded size.

What is wrong with one is said in words: which file, for what, and why it cannot be used.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.errors import CliError, UsageFault
from cli.exits import ExitCode

FILE_BYTES_MAX = 2**20


def read_text(path: Path, what: str, bytes_max: int = FILE_BYTES_MAX) -> str:
    """The text of a file, without a byte order mark; `-` is stdin. Raises CliError, UsageFault."""
    return decode_text(read_bytes(path, what, bytes_max), f"{what} {path}")


def read_bytes(path: Path, what: str, bytes_max: int = FILE_BYTES_MAX) -> bytes:
    """The bytes of a file, at most so many; `-` is stdin. Raises CliError, UsageFault."""
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(bytes_max + 1)
        else:
            with path.open("rb") as file:
                data = file.read(bytes_max + 1)
    except FileNotFoundError as error:
        raise CliError("no_such_file", f"there is no {what} {path}", status=ExitCode.USAGE) from error
    except OSError as error:
        raise CliError("unreadable_file", f"the {what} {path} cannot be read: {error.strerror}") from error
    if len(data) > bytes_max:
        raise UsageFault(f"the {what} {path} is larger than {bytes_max} bytes")
    return data


def decode_text(data: bytes, what: str) -> str:
    """UTF-8, with or without a byte order mark; raises UsageFault."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageFault(f"the {what} is not UTF-8 text (byte {error.start})") from error


def read_json(path: Path) -> Any:
    """A JSON document; `-` is stdin. Raises UsageFault, also where a name stands twice in an object."""
    text = read_text(path, "file")
    try:
        return json.loads(text, object_pairs_hook=_build_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UsageFault(f"{path} is no JSON: {error}") from error


def _build_object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands twice in one object")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def read_hex(path: Path, name: str) -> bytes:
    """The bytes in a field of a JSON document; raises UsageFault."""
    document = read_json(path)
    text = document.get(name) if isinstance(document, dict) else None
    try:
        return bytes.fromhex(text or "-")
    except (ValueError, TypeError) as error:
        raise UsageFault(f"{path} has no bytes in {name!r}") from error
