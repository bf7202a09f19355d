"""Local control: publishing, listing, fetching and dropping data of the node, by who has its token."""

from pathlib import Path

from chain.content import compute_datum_id
from storage.content.store import ContentStore
from tests.node.api.world import TOKEN, open_client

AUTH = {"Authorization": f"bearer {TOKEN}"}
HASH = "ab" * 32


def make_folder(path: Path) -> Path:
    """Two files with something in them."""
    path.mkdir()
    (path / "a.txt").write_bytes(b"a" * 300_000)
    (path / "b.txt").write_bytes(b"b")
    return path


async def test_publish_list_drop(tmp_path: Path) -> None:
    """A published folder is listed as complete until it is dropped; its id is that of its manifest."""
    folder = make_folder(tmp_path / "data")
    async with open_client(tmp_path / "store") as client:
        request = {"path": str(folder)}
        done = await client.ask("POST", "/v1/content/publish", json=request, headers=AUTH)
        assert (done["size_bytes"], done["files"]) == (300_001, 2)
        with ContentStore(tmp_path / "other", 2**24) as other:
            assert compute_datum_id(other.publish(folder)).hex() == done["datum"]
        local = await client.get("/v1/content", headers=AUTH)
        (datum,) = local["datums"]
        assert datum["datum"] == done["datum"] and datum["is_complete"]
        assert datum["folder"] == str(folder) and 0 < local["used_bytes"] < local["quota_bytes"]
        await client.ask("DELETE", f"/v1/content/{done['datum']}", headers=AUTH)
        assert (await client.get("/v1/content", headers=AUTH))["datums"] == []
        answer = await client.ask("DELETE", f"/v1/content/{done['datum']}", 404, headers=AUTH)
        assert answer["error"]["code"] == "unknown_datum"
        assert (folder / "a.txt").exists()


async def test_chunks_are_read_on_request(tmp_path: Path) -> None:
    """What is whole has no findings; a changed file is found, counts as missing, and is named; so is all of a
    folder that is away."""
    folder = make_folder(tmp_path / "data")
    async with open_client(tmp_path / "store") as client:
        published = await client.ask("POST", "/v1/content/publish", json={"path": str(folder)}, headers=AUTH)
        wanted = {"datum": published["datum"], "first": 0, "count": 64}
        found = await client.ask("POST", "/v1/content/check", json=wanted, headers=AUTH)
        assert (found["checked"], found["unreadable"]) == (2, [])
        (folder / "a.txt").write_bytes(b"b" + b"a" * 299_999)
        found = await client.ask("POST", "/v1/content/check", json=wanted, headers=AUTH)
        assert found["unreadable"] == [0]
        (datum,) = (await client.get("/v1/content", headers=AUTH))["datums"]
        assert (datum["chunks_held"], datum["is_complete"]) == (1, False)
        folder.rename(tmp_path / "elsewhere")
        found = await client.ask("POST", "/v1/content/check", json=wanted, headers=AUTH)
        assert (found["checked"], found["unreadable"]) == (1, [1]) and found["reason"]
        answer = await client.ask("POST", "/v1/content/check", 404, json={"datum": HASH}, headers=AUTH)
        assert answer["error"]["code"] == "unknown_datum"


async def test_what_can_not_be_published(tmp_path: Path) -> None:
    """Missing, relative and strange paths are refused with a code; nothing is hosted."""
    link = make_folder(tmp_path / "links") / "c"
    link.symlink_to("a.txt")
    cases = [
        (str(tmp_path / "none"), 409, "source_refused"),
        (str(link.parent), 409, "source_refused"),
        (str(tmp_path), 409, "source_refused"),
        ("data", 400, "path_not_absolute"),
        ("/a\0b", 400, "path_not_absolute"),
        ("", 400, "malformed_request"),
    ]
    async with open_client(tmp_path / "store") as client:
        for path, status, code in cases:
            answer = await client.ask(
                "POST", "/v1/content/publish", status, json={"path": path}, headers=AUTH
            )
            assert answer["error"]["code"] == code, path
        assert (await client.get("/v1/content", headers=AUTH))["datums"] == []


async def test_downloads_need_a_session_of_theirs(tmp_path: Path) -> None:
    """A session that is not open starts nothing; an unknown job is not found."""
    async with open_client(tmp_path / "store") as client:
        order = {"session": HASH, "voucher_secret": HASH}
        answer = await client.ask("POST", "/v1/content/download", 409, json=order, headers=AUTH)
        assert answer["error"]["code"] == "order_refused"
        await client.get(f"/v1/content/download/{HASH}", 404, headers=AUTH)


async def test_a_node_without_content() -> None:
    """A node that keeps no content says so."""
    async with open_client() as client:
        answer = await client.get("/v1/content", 503, headers=AUTH)
        assert answer["error"]["code"] == "no_content_store"
