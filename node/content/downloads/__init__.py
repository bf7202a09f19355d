"""Downloads: one datum, several hosts, paid chunk by chunk.

`run` has `download`, which runs one. `chunk_scheduler` decides which chunk is asked of which host,
`host_connection` connects to a host, `stream` fetches and pays its chunks, `payments` counts what was
promised and what came, `losses` remembers hosts that did not deliver; `types` are arguments and results.
"""

from node.content.downloads.context import BuyerMemory
from node.content.downloads.losses import LossBook
from node.content.downloads.payments import PaymentBook
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
    "BuyerMemory",
    "DownloadError",
    "DownloadJob",
    "DownloadLimits",
    "DownloadResult",
    "HostReport",
    "LossBook",
    "OnProgress",
    "Outcome",
    "PaymentBook",
    "Progress",
    "SessionHost",
    "download",
]
