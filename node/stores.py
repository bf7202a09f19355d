"""The stores that a node has open on disk, under one lock.

The data directory belongs to one process. Stores are opened outermost and closed last. What LevelDB, log and
sign-state check when they open is in `storage`; a file that does not verify is refused with advice.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from node.home.home import Home
from node.state_sync.joining import adopt
from storage.content.store import ContentStore
from storage.data_format import check_data_format
from storage.errors import StorageError
from storage.files import DISK, FileSystem
from storage.kv import LevelDbStore
from storage.lock import lock_directory
from storage.sign_log import SignLog
from storage.sign_state import LastSignState
from storage.wal import Wal

_log = structlog.get_logger("node")


@dataclass(frozen=True)
class Stores:
    """The open stores of a node."""

    database: LevelDbStore
    wal: Wal
    sign_state: LastSignState
    sign_log: SignLog
    vouchers: LevelDbStore
    content: ContentStore

    def list_failures(self) -> list[StorageError | None]:
        """The failures of the stores whose writes come from peers and clients. A failure of the other stores
        ends consensus and so the node at once.
        """
        return [self.vouchers.failure, self.content.failure]


@contextmanager
def open_stores(
    home: Home,
    consensus_key: bytes,
    *,
    is_new: bool,
    disk_bytes: int = 2**40,
    files: FileSystem = DISK,
    open_database: Callable[[Path], LevelDbStore] = LevelDbStore,
) -> Iterator[Stores]:
    """Lock the data directory and open what is in it; raises StorageError with what to do."""
    with ExitStack() as stack:
        stack.enter_context(lock_directory(home.data))
        check_data_format(home.data, has_store=home.store.exists(), files=files)
        # The database is made last: if it exists, the next start knows that log and sign-state must exist,
        # too. A log without a database is kept: the validator's lock in it still counts after the store was
        # moved away.
        is_first = is_new and not home.wal.exists()
        wal = Wal.create(home.wal, 0, files) if is_first else Wal.load(home.wal, files)
        stack.callback(wal.close)
        sign_state = LastSignState.load(home.sign_state, consensus_key, create=is_new, files=files)
        stack.callback(sign_state.close)
        sign_log = stack.enter_context(SignLog(home.sign_log, consensus_key, files))
        adopt(home)
        database = open_database(home.store)
        stack.callback(database.close)
        if database.torn_bytes:
            _log.warning("unfinished_write_cut", store=str(home.store), size_bytes=database.torn_bytes)
        vouchers = LevelDbStore(home.vouchers, "move it away; what was not settled of it is lost")
        stack.callback(vouchers.close)
        content = stack.enter_context(ContentStore(home.content, disk_bytes))
        yield Stores(database, wal, sign_state, sign_log, vouchers, content)
