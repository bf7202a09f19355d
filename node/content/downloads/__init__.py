"""Downloads: one datum, several hosts, paid chunk by chunk.

`run` has `download`, which runs one. `chunk_scheduler` decides which chunk is asked of which host,
`host_connection` connects to a host, `stream` fetches and pays its chunks; `types` are arguments and results.
"""

from node.content.downloads.run import download
from node.content.downloads.types import (
    BadListing,
    DownloadError,
    DownloadJob,
    DownloadLimits,
    DownloadResult,
    HostReport,
    OnProgress,
    Outcome,
    Progress,
    SessionHost,
)

__all__ = [
    "BadListing",
    "DownloadError",
    "DownloadJob",
    "DownloadLimits",
    "DownloadResult",
    "HostReport",
    "OnProgress",
    "Outcome",
    "Progress",
    "SessionHost",
    "download",
]
