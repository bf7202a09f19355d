"""Work that only one command at a time may do in a folder: another one is told so, before it pays."""

from pathlib import Path

from cli.errors import CliError
from storage.errors import StoreInUse
from storage.lock import FileLock


def hold(path: Path, doing: str, hint: str) -> FileLock:
    """The lock of a file, made if it is missing; raises CliError if another command does that now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return FileLock(path)
    except StoreInUse as error:
        raise CliError("busy", f"another command {doing}", hint) from error
