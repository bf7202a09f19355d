"""Which bytes a reader accepts as the manifest of a listed datum, and who is blamed otherwise."""

import dataclasses
from typing import Any

import pytest

from chain.content import FileEntry, Manifest, build_manifest, compute_datum_id
from chain.primitives.codec import encode, replace
from chain.primitives.keys import KeyPair
from node.content.downloads import BadListing, DownloadJob
from node.content.downloads.host_connection import check_listed
from p2p.errors import PeerFault

ROOT = b"r" * 32
MANIFEST = build_manifest((FileEntry("a", 3), FileEntry("b", 4)), ROOT)


def build_job(manifest: Manifest) -> DownloadJob:
    return DownloadJob(
        session=b"s" * 32,
        opened_at=1,
        datum=compute_datum_id(manifest),
        root=manifest.root,
        size_bytes=manifest.length,
        price_per_gib=1,
        voucher_key=KeyPair(b"v" * 32),
        hosts=(),
    )


def test_the_manifest_of_the_datum_is_taken() -> None:
    """Bytes whose files, length and root make the id are the manifest."""
    assert check_listed(build_job(MANIFEST), encode(MANIFEST)) == MANIFEST


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode(MANIFEST) + b"\0",
        encode(MANIFEST.files),
        encode(replace(MANIFEST, length=8)),
        encode(replace(MANIFEST, root=bytes(32))),
        encode(replace(MANIFEST, files=(FileEntry("a", 4), FileEntry("b", 3)))),
        encode(replace(MANIFEST, files=(FileEntry("../a", 3), FileEntry("b", 4)))),
    ],
)
def test_anything_else_is_the_fault_of_who_sent_it(data: bytes) -> None:
    """Other files, another length or root, or no manifest at all are the fault of the host."""
    with pytest.raises(PeerFault):
        check_listed(build_job(MANIFEST), data)


@pytest.mark.parametrize(
    "manifest",
    [
        replace(MANIFEST, files=(FileEntry("../a", 3), FileEntry("b", 4))),
        replace(MANIFEST, files=(FileEntry("b", 4), FileEntry("a", 3))),
        replace(MANIFEST, length=8),
    ],
)
def test_a_listed_manifest_that_breaks_a_rule_is_the_listers_fault(manifest: Manifest) -> None:
    """The id is right, so the host is not blamed; the paths or sizes break a rule."""
    with pytest.raises(BadListing):
        check_listed(build_job(manifest), encode(manifest))


@pytest.mark.parametrize("changes", [{"root": bytes(32)}, {"size_bytes": 8}])
def test_a_job_that_contradicts_its_datum_is_not_the_hosts_fault(changes: dict[str, Any]) -> None:
    """A root or size that does not fit the id is the fault of whoever made the job."""
    with pytest.raises(BadListing):
        check_listed(dataclasses.replace(build_job(MANIFEST), **changes), encode(MANIFEST))
