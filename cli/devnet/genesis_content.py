"""The content of a new devnet: folders that its first nodes hold and that its chain lists from genesis on.

A network that starts with something to host shows hosting, proofs, sales and downloads within seconds:
the first half of the nodes hold the folders where they lie, in effect from the first block; the others
fetch them afterwards by paid sessions, like any host that joins later (`seeding`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chain.content import Manifest
from chain.modules.catalogue import TITLE_BYTES_MAX, ListDatum
from cli.content.catalogue import build_listing, describe_manifest
from cli.devnet.sample import write_sample
from cli.terminal import output
from cli.terminal.amounts import format_size
from cli.terminal.cells import cut_text
from cli.terminal.wording import format_count
from node.content.private_files import check_public
from storage.content.store import ContentStore


class Publication(NamedTuple):
    """A folder to publish and what the catalogue says about it."""

    path: Path
    title: str
    category: str
    tags: tuple[str, ...]


class Entry(NamedTuple):
    """A published folder: its listing, and the line of the summary."""

    listing: ListDatum
    summary: dict[str, Any]


def list_sources(folder: Path, content: Path | None) -> list[Publication]:
    """The folder that was named, or the sample, which is made in `folder`."""
    if content is not None:
        title = cut_text(content.resolve().name, TITLE_BYTES_MAX) or "content"
        return [Publication(content.resolve(), title, "data", ("devnet",))]
    return [Publication(path, one.title, one.category, one.tags) for path, one in write_sample(folder)]


def publish_offline(sources: Sequence[Publication], folders: Sequence[Path], quota_bytes: int) -> list[Entry]:
    """Each folder into the content store of each node that will hold it; the nodes do not run yet."""
    for source in sources:
        check_public(source.path)
    manifests: list[Manifest] = []
    for folder in folders:
        with ContentStore(folder, quota_bytes) as store:
            manifests = [store.publish(source.path) for source in sources]
    return [build_entry(source, manifest) for source, manifest in zip(sources, manifests, strict=True)]


def build_entry(source: Publication, manifest: Manifest) -> Entry:
    """What the chain and the summary say about a folder."""
    published = describe_manifest(manifest)
    datum, size = published["datum"], format_size(manifest.length)
    output.say(f"published {source.title}: {format_count(len(manifest.files), 'file')}, {size}, {datum}")
    summary = {"id": datum, "title": source.title, "bytes": manifest.length, "source": str(source.path)}
    return Entry(build_listing(published, source.title, source.category, source.tags), summary)
