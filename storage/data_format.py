"""The format of a data directory: one number in a file, so that another version's files are told from damage.

Written before anything else of a new directory. A directory that has a store and no such file is of format 1,
before which there was no need to tell. Nothing converts one format into another yet.
"""

from pathlib import Path

from storage.errors import OtherDataFormat, disk_errors
from storage.files import FileSystem, atomic_write

DATA_FORMAT = 3
"""Goes up with every change after which the files of before cannot be read."""
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
