"""Local control of this node's content. Every route here needs the node's token.

Paths name files on this machine: a client with the token can publish whatever the node's user may read.
"""

from dataclasses import asdict
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from node.api.context import HEX_HASH, Api, ApiOf, ContentOf, HashPath, check_token
from node.api.errors import BadRequest, NotFound
from node.api.forms import Json
from node.api.schemas import CheckedChunks, Download, Dropped, LocalContent, Published
from node.api.services import Content
from node.content.types import DownloadOrder, DownloadProgress, LocalDatum

router = APIRouter(prefix="/v1/content", tags=["content"], dependencies=[Depends(check_token)])

PATH_CHARS_MAX = 4096
CHUNK_MAX = 2**32
CHECKED_MAX = 64
"""16 MiB: other requests to the store wait for as long as that takes to read."""
JobPath = Annotated[str, Path(pattern=r"^[0-9a-zA-Z_-]{1,64}$")]
HexHash = Annotated[str, Field(pattern=HEX_HASH)]


class PublishRequest(BaseModel):
    """What to host."""

    model_config = ConfigDict(extra="forbid")
    path: Annotated[str, Field(min_length=1, max_length=PATH_CHARS_MAX)]


class DownloadRequest(BaseModel):
    """A session that the wallet has opened, and the secret of its voucher key."""

    model_config = ConfigDict(extra="forbid")
    session: HexHash
    voucher_secret: HexHash


class CheckRequest(BaseModel):
    """Chunks of a datum to read."""

    model_config = ConfigDict(extra="forbid")
    datum: HexHash
    first: Annotated[int, Field(ge=0, le=CHUNK_MAX)] = 0
    count: Annotated[int, Field(ge=1, le=CHECKED_MAX)] = CHECKED_MAX


@router.post("/publish")
async def publish(api: ApiOf, content: ContentOf, body: PublishRequest) -> Published:
    """Host a file or folder where it lies; answers once all of it was read."""
    done = await api.loop.run(content.publish, _parse_path(body.path))
    return Published(
        datum=done.datum.hex(),
        files_hash=done.files_hash.hex(),
        root=done.root.hex(),
        size_bytes=done.size_bytes,
        files=done.files,
    )


def _parse_path(text: str) -> FilePath:
    path = FilePath(text)
    if "\0" in text or not path.is_absolute():
        raise BadRequest("path_not_absolute", "a path begins at the root of this machine")
    return path


@router.get("")
async def list_content(api: ApiOf, content: ContentOf) -> LocalContent:
    """The datums in the store, and how much of the quota is used."""
    local = await api.loop.run(content.list_datums)
    return LocalContent(
        quota_bytes=local.quota_bytes,
        used_bytes=local.used_bytes,
        datums=[_format_local(datum) for datum in local.datums],
    )


def _format_local(datum: LocalDatum) -> Json:
    return {
        "datum": datum.datum.hex(),
        "size_bytes": datum.size_bytes,
        "chunks": datum.chunks,
        "chunks_held": datum.chunks_held,
        "is_complete": datum.chunks_held == datum.chunks,
        "folder": None if datum.folder is None else str(datum.folder),
    }


@router.post("/check")
async def check_chunks(api: ApiOf, content: ContentOf, body: CheckRequest) -> CheckedChunks:
    """Read chunks that should be here, and count those that fail as missing from now on."""
    found = await api.loop.run(content.check_chunks, bytes.fromhex(body.datum), body.first, body.count)
    return CheckedChunks(checked=found.checked, unreadable=list(found.unreadable), reason=found.reason)


@router.post("/download")
async def begin_download(api: ApiOf, content: ContentOf, body: DownloadRequest) -> Download:
    """Fetch a datum into this node's store, paid by a session; the same session again is the same job."""
    order = DownloadOrder(bytes.fromhex(body.session), bytes.fromhex(body.voucher_secret))
    return _format_progress(api, await api.loop.run(_begin, content, order))


async def _begin(content: Content, order: DownloadOrder) -> DownloadProgress:
    return await content.begin_download(order)


@router.get("/download/{job}")
async def get_download(api: ApiOf, content: ContentOf, job: JobPath) -> Download:
    """How far a download is, and why hosts failed."""
    progress = await api.loop.run(content.get_download, job)
    if progress is None:
        raise NotFound(
            "not_found", "no such download", "a restart forgets the jobs, not the chunks: begin it again"
        )
    return _format_progress(api, progress)


def _format_progress(api: Api, progress: DownloadProgress) -> Download:
    return Download(
        job=progress.job,
        session=progress.session.hex(),
        datum=progress.datum.hex(),
        state=progress.state,
        failure=progress.failure,
        bytes_total=progress.bytes_total,
        bytes_held=progress.bytes_held,
        bytes_per_second=progress.bytes_per_second,
        paid=progress.paid,
        hosts=[{**asdict(one), "host": api.format_address(one.host)} for one in progress.hosts],
        unsold_chunks=progress.unsold_chunks,
        unsold_seconds=progress.unsold_seconds,
    )


@router.delete("/{datum_id}")
async def drop(api: ApiOf, content: ContentOf, datum_id: HashPath) -> Dropped:
    """Forget a datum; a published folder stays as it is. The wallet ends the registration on chain."""
    await api.loop.run(content.drop, bytes.fromhex(datum_id))
    return Dropped(datum=datum_id.lower())
