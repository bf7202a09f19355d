"""The folder that a datum is written to: looked at before anything is bought.

A datum's file names are known only once a host has sent its manifest. So a folder with files in it is taken
only if it holds the datum already, or if an earlier try has left the manifest and nothing is in the way.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chain.content import Manifest, compute_datum_id
from cli.errors import CliError
from cli.terminal.amounts import format_size
from storage.content.errors import SourceRefused
from storage.content.selection import select_files
from storage.content.tree import build_datum

Entry = dict[str, Any]


class TargetRefused(CliError):
    """The files cannot be written there."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(code, f"{message}; nothing was bought", hint)


def is_complete_at(target: Path, entry: Entry) -> bool:
    """Whether the folder holds the datum, byte for byte, and nothing else; read only if the size is right."""
    if not target.is_dir() or compute_size(target) != entry["datum"]["size_bytes"]:
        return False
    try:
        return compute_datum_id(build_datum(target).manifest) == bytes.fromhex(entry["id"])
    except SourceRefused:
        return False


def compute_size(folder: Path) -> int:
    """Bytes of all files below it."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def check_target(target: Path, manifest: Manifest | None, paths: Sequence[str] = ()) -> None:
    """Raises TargetRefused if the files of a datum, of this manifest if it is known, cannot be written.

    Raises UnknownFile if a wanted file is not in the manifest.
    """
    if target.exists() and not target.is_dir():
        raise TargetRefused("not_a_folder", f"{target} is a file, and --to names a folder", "--to DIR")
    check_writable(target)
    if manifest is None and paths:
        taken = [target / path for path in paths if os.path.lexists(target / path)]
        if taken:
            raise TargetRefused("export_conflict", f"{taken[0]} is in the way", "move it away, or --to DIR")
        return
    if manifest is None:
        if target.is_dir() and any(target.iterdir()):
            hint = f"--to {target / 'NAME'}, or an empty folder"
            raise TargetRefused("target_not_empty", f"{target} has other files in it", hint)
        return
    for file in (one.entry for one in select_files(manifest, paths)):
        place = target / file.path
        is_there = place.is_symlink() or place.exists()
        if is_there and (not place.is_file() or place.stat().st_size != file.size):
            raise TargetRefused("export_conflict", f"{place} is in the way", "move it away, or --to DIR")


def check_writable(target: Path) -> None:
    """Raises TargetRefused if no file can be made in the folder, or where the folder is to be made."""
    nearest = find_nearest(target)
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        message = f"{target} cannot be written: {error.strerror}"
        raise TargetRefused("not_writable", message, "--to DIR") from error


def find_nearest(path: Path) -> Path:
    """The path, or the nearest above it that exists."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if os.path.lexists(one))


def check_space(needs: Mapping[Path, int]) -> None:
    """Raises TargetRefused if a disk has not so many bytes free as all of these places on it need."""
    by_disk: dict[int, tuple[Path, int]] = {}
    for path, needed in needs.items():
        nearest = find_nearest(path)
        first, sum_before = by_disk.get(nearest.stat().st_dev, (nearest, 0))
        by_disk[nearest.stat().st_dev] = first, sum_before + needed
    for place, needed in by_disk.values():
        free = shutil.disk_usage(place).free
        if needed > free:
            message = f"{format_size(needed)} are needed at {place}, and {format_size(free)} are free"
            raise TargetRefused("no_space", message, "--to DIR on another disk, or free some")
