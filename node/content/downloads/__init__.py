"""Downloads: one datum, several hosts, paid chunk by chunk.

`run` has `download`, which runs one; `board` decides what is asked of whom, `supplier` reaches a host,
`conversation` fetches and pays its chunks, `types` has what callers give and get.
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
