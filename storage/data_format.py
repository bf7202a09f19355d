"""The format of a data directory: a number in a file that tells another version's files from damaged ones.

The file is the first one written in a new directory. A directory that has a store and no such file is of
format 1, which did not write one. Nothing converts one format into another yet.
"""

from pathlib import Path

from storage.errors import OtherDataFormat, disk_errors
from storage.files import FileSystem, atomic_write

DATA_FORMAT = 3
"""Raised with every change after which this program cannot read older files."""
_FILE_NAME = "format"
_FILE_BYTES_MAX = 16


def check_data_format(directory: Path, *, has_store: bool, files: FileSystem) -> None:
    """Raises OtherDataFormat unless this program writes what is in the directory; marks a new one."""
    path = directory / _FILE_NAME
    with disk_errors(path):
        data = files.read(path, _FILE_BYTES_MAX)
    if data is None and not has_store:
        atomic_write(path, b"%d\n" % DATA_FORMAT, files)
        return
    found = "1" if data is None else data.decode("ascii", "replace").strip()
    if found != str(DATA_FORMAT):
        raise OtherDataFormat(
            f"{directory} was written by another version of this program: format {found}, this one has"
            f" {DATA_FORMAT}; use that version, or begin again: `vidya devnet reset` for a devnet, another"
            " --home for a node"
        )
