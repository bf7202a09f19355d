"""What a reader takes for the manifest of a listed datum, and whose fault it is if it can not."""

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
    """The bytes whose files, length and root make the id are the manifest."""
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
    """Other files, another length or root, and what is no manifest at all never pass for the datum's."""
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
    """The id is right, so the host is not to blame; the paths or sizes are not acceptable."""
    with pytest.raises(BadListing):
        check_listed(build_job(manifest), encode(manifest))


@pytest.mark.parametrize("changes", [{"root": bytes(32)}, {"size_bytes": 8}])
def test_a_job_that_contradicts_its_datum_is_not_the_hosts_fault(changes: dict[str, Any]) -> None:
    """To blame is who told the reader another root or size than those of the id."""
    with pytest.raises(BadListing):
        check_listed(dataclasses.replace(build_job(MANIFEST), **changes), encode(MANIFEST))
