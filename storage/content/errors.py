"""Errors of the content store: failures that disks, folders and operators may cause.

StorageError
├── QuotaExceeded      the datum does not fit the quota; nothing was written
├── UnknownDatum       the store does not have this datum
├── UnknownFile        the datum has no file or folder of this path
├── ChunkMissing       the chunk is not held
├── CorruptChunk       a held chunk no longer verifies; it is marked missing
├── SourceRefused      the folder cannot be published: links, special files, no files
├── SourceChanged      files changed while they were being published
├── SourceGone         the folder of a datum hosted in place is away as a whole; nothing was marked missing
└── ExportConflict     another file lies where an exported file belongs; it was not changed

Bytes of a peer that do not verify are chain.errors.InvalidProof; names that break a rule,
chain.content.InvalidManifest.
"""

from storage.errors import StorageError


class QuotaExceeded(StorageError):
    """The quota has too little left."""


class UnknownDatum(StorageError):
    """No such datum in this store."""


class UnknownFile(StorageError):
    """No such file or folder in the datum."""


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
    """Another file or folder is in the way of the export."""
