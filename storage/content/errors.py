"""Errors of the content store: what disks, folders and their keepers may cause.

StorageError
├── QuotaExceeded      the datum does not fit what the operator gave; nothing was written
├── UnknownDatum       the store was never told of this datum
├── ChunkMissing       a part that is not here (yet)
├── CorruptChunk       a part that was here and no longer verifies; it now counts as missing
├── SourceRefused      a folder that cannot be published: links, special files, none at all
├── SourceChanged      files changed while they were being published
├── SourceGone         the folder of a datum hosted in place is away as a whole; nothing was marked missing
└── ExportConflict     something else lies where an exported file belongs; it was left alone

Bytes of a peer that do not verify are chain.errors.InvalidProof; names that break a rule,
chain.content.InvalidManifest.
"""

from storage.errors import StorageError


class QuotaExceeded(StorageError):
    """Not enough of the quota is left."""


class UnknownDatum(StorageError):
    """No such datum in this store."""


class ChunkMissing(StorageError):
    """The chunk is not held."""

    def __init__(self, index: int) -> None:
        super().__init__(f"chunk {index} is not held")
        self.index = index


class CorruptChunk(StorageError):
    """The chunk did not verify when it was read; it has been marked missing."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"chunk {index} no longer verifies ({reason}); fetch it again from another host")
        self.index = index


class SourceRefused(StorageError):
    """This path cannot be published."""


class SourceChanged(StorageError):
    """A file changed, came or went while its folder was being read."""


class SourceGone(StorageError):
    """The whole source is away, for example a disk that is not mounted."""


class ExportConflict(StorageError):
    """A path of the export is taken by something else."""
