"""Every batch of the chain store is one LevelDB transaction and is synced, as LevelDB itself is asked."""

from contextlib import closing
from pathlib import Path
from typing import Any

from chain.primitives.codec import encode
from chain.snapshot import build_manifest_top, check_part, decode_manifest
from chain.validator_set import build_roster
from node.ledger.ledger import Ledger
from node.ledger.snapshots import write_snapshot
from storage.kv import LevelDbStore
from storage.snapshots import SnapshotFiles, Staging
from tests.node.forge import Forge, make_final


class RecordingDatabase:
    """LevelDB with a record of how each batch was asked for."""

    def __init__(self, database: Any) -> None:
        self.database = database
        self.asked: list[dict[str, object]] = []

    def write_batch(self, **options: object) -> Any:
        self.asked.append(options)
        return self.database.write_batch(**options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)


def record(store: LevelDbStore) -> RecordingDatabase:
    """Puts a recorder between the store and LevelDB."""
    store._database = recording = RecordingDatabase(store._database)
    return recording


def check_all_synced(recording: RecordingDatabase, count: int) -> None:
    assert recording.asked == [{"transaction": True, "sync": True}] * count


def test_every_batch_of_a_ledger_is_synced(tmp_path: Path) -> None:
    """Genesis is one batch, and so is each commit, with the bodies that it drops."""
    forge = Forge()
    with closing(LevelDbStore(tmp_path / "store")) as store:
        recording = record(store)
        ledger = Ledger(store, forge.spec, blocks_kept=1)
        check_all_synced(recording, 1)
        for height in range(1, 6):
            result = forge.build()
            committed = forge.commit(result)
            make_final(ledger, ledger.execute(result.block), committed.certificate)
            check_all_synced(recording, 1 + height)


def test_every_batch_of_a_state_sync_is_synced(tmp_path: Path) -> None:
    """The plan, each part and the last batch, and also those that drop an earlier plan."""
    forge, files = Forge(), SnapshotFiles(tmp_path / "snapshots")
    forge.grow(3)
    parts = write_snapshot(forge.ledger, files, lambda: None)
    header = forge.ledger.head
    manifest = decode_manifest(files.get_manifest(3) or b"", 3, header.state_root)
    with closing(LevelDbStore(tmp_path / "store")) as store:
        recording = record(store)
        staging = Staging(store)
        staging.begin(b"plan")
        for part in range(parts):
            checked = check_part(manifest, part, files.get_part(3, part) or b"")
            staging.add_part(part, checked.pairs, checked.nodes)
        chain, roster = forge.ledger.chain, encode(build_roster(forge.ledger.get_validators()))
        headers = chain.get_header(0) or b"", chain.get_header(3) or b""
        staging.finish(build_manifest_top(manifest), *headers, chain.get_certificate(3) or b"", [roster])
        assert len(recording.asked) >= 3 + parts
        check_all_synced(recording, len(recording.asked))
