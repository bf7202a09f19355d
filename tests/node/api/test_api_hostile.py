"""Requests that no honest client sends: each is answered with 4xx in our form, and changes nothing."""

import re
from pathlib import Path
from random import Random

import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from node.api.guards import BODY_BYTES_MAX, REQUESTS_BURST, REQUESTS_PER_SECOND, Buckets
from node.home.config import NodeConfig
from tests.node.api.world import TOKEN, open_client

AUTH = {"Authorization": f"Bearer {TOKEN}"}
JSON = {"Content-Type": "application/json"}
HASH = "ab" * 32
FOREIGN_ADDRESS = "vidya1qdnesaff6uxa03wccv3s8gam74q0kf9895a4ys47tfs0fjtd5kssyzs0g9"

GETS = [
    "/v1/blocks/-1",
    "/v1/blocks/1.5",
    "/v1/blocks/1e3",
    "/v1/blocks/99999999999999999999999999",
    "/v1/blocks/" + "9" * 5000,
    "/v1/blocks/5",
    "/v1/blocks/" + HASH,
    "/v1/blocks/" + "0" * 64,
    "/v1/blocks/latest?limit=0",
    "/v1/blocks/latest?limit=1001",
    "/v1/blocks/latest?offset=-1",
    "/v1/blocks?from=-1",
    "/v1/blocks?count=101",
    "/v1/blocks?count=NaN",
    "/v1/headers/18446744073709551616",
    "/v1/headers/7",
    "/v1/transactions/xyz",
    "/v1/transactions/" + HASH[:-1],
    "/v1/transactions/" + HASH + "?valid_until=-3",
    "/v1/accounts/x",
    "/v1/accounts/" + "a" * 91,
    "/v1/accounts/" + FOREIGN_ADDRESS,
    "/v1/accounts/%00",
    "/v1/accounts/%ff%fe",
    "/v1/accounts/..%2f..%2fetc%2fpasswd",
    "/v1/../../etc/passwd",
    "/v1/hosts/" + FOREIGN_ADDRESS,
    "/v1/hosts?after=zz",
    "/v1/hosts?after=" + "00" * 65,
    "/v1/proof",
    "/v1/proof?key=",
    "/v1/proof?key=0",
    "/v1/proof?key=" + "00" * 129,
    "/v1/datums?text=" + "x" * 129,
    "/v1/datums/" + HASH.replace("a", "g"),
    "/v1/sessions/1",
    "/v1/events?kinds=everything",
    "/v1/events?since=1",
    "/v1/nothing",
    "/rpc",
]


async def test_bad_names_and_numbers() -> None:
    """Negative, fractional, huge and foreign names are 4xx with a code and a message, never 5xx."""
    async with open_client() as client:
        for path in GETS:
            answer = await client.http.get(path)
            assert 400 <= answer.status_code < 500, (path, answer.text)
            error = answer.json()["error"]
            assert error["code"] and error["message"] and len(answer.content) < 2_000, path


DEEP = b"[" * 200_000
BODIES = [
    b"",
    b"{",
    b"null",
    b"{}",
    b"1e400",
    b"NaN",
    b"-1",
    b'"zz"',
    b"[1]",
    b"[null]",
    b'{"a": 1}',
    b'["00", {"a": []}]',
    b'"\xff\xfe"',
    b"\xff\xfe\x00",
    b'"\\ud800"',
    b"[" + b"9" * 10_000 + b"]",
    DEEP,
    b'{"a":' * 50_000,
    b'["' + b"a" * 600_000 + b'"]',
]


@pytest.mark.parametrize("path", ["/v1/transactions", "/v1/transactions/dry-run", "/v1/content/publish"])
async def test_bad_bodies(path: str, tmp_path: Path) -> None:
    """Malformed, deep, huge and mistyped JSON is 4xx on every route with a body; nothing enters the pool."""
    async with open_client(tmp_path / "store") as client:
        for body in BODIES:
            answer = await client.http.post(path, content=body, headers=JSON | AUTH)
            assert 400 <= answer.status_code < 500, (body[:20], answer.text)
            assert answer.json()["error"]["code"]
        assert len(client.world.mempool) == 0


ODD = [
    "-1",
    "0",
    "latest",
    HASH,
    "9" * 40,
    "%00",
    "%ff",
    "..",
    "x" * 91,
    "1e9",
    "NaN",
    "[]",
    "\u202e",
    "true",
]


async def test_any_route_with_anything(tmp_path: Path) -> None:
    """Odd names, parameters and bodies on every route are answered without a mistake of the node."""
    chance = Random(23)
    async with open_client(tmp_path / "store") as client:
        paths = (await client.get("/v1/openapi.json"))["paths"]
        paths = {path: methods for path, methods in paths.items() if path not in ("/v1/events", "/healthz")}
        names = {
            one["name"]
            for methods in paths.values()
            for one in next(iter(methods.values())).get("parameters", ())
        }
        for _ in range(600):
            path, methods = chance.choice(sorted(paths.items()))
            method = chance.choice(sorted(methods)).upper()
            answer = await client.http.request(
                method,
                re.sub(r"\{\w+\}", lambda _: chance.choice(ODD), path),
                params={chance.choice(sorted(names)): chance.choice(ODD) for _ in range(2)},
                content=chance.choice([chance.randbytes(20), *BODIES[:17]]) if method == "POST" else None,
                headers=JSON | AUTH,
            )
            assert answer.status_code < 500, (method, path, answer.text)
        assert (len(client.world.mempool), client.world.ledger.height) == (0, 0)


async def test_large_bodies() -> None:
    """A body over the bound is 413, also where no body is expected."""
    async with open_client() as client:
        for path in ("/v1/transactions", "/v1/status"):
            answer = await client.http.post(path, content=b" " * (BODY_BYTES_MAX + 1), headers=JSON)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


async def test_a_method_that_is_not_served_names_those_that_are() -> None:
    """A 405 has its Allow header (RFC 9110, 15.5.6), and health can be asked for with HEAD."""
    async with open_client() as client:
        refused = await client.http.post("/healthz")
        assert refused.status_code == 405 and "GET" in refused.headers["allow"]
        for path in ("/healthz", "/readyz"):
            asked = await client.http.head(path)
            assert asked.status_code == (await client.http.get(path)).status_code and not asked.content


async def test_dns_rebinding() -> None:
    """A request that names another host is refused, whatever it asks for."""
    async with open_client() as client:
        for host in ("evil.example", "127.0.0.1.evil.example", "", "localhost@evil", "[::2]:80"):
            answer = await client.http.get("/v1/status", headers={"Host": host})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host_refused"), host


async def test_names_of_this_node() -> None:
    """Loopback names and those of the configuration are let in, with and without a port."""
    async with open_client(config=NodeConfig(api_names=["Vidya.Lan"])) as client:
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1:26657", "[::1]:80", "vidya.lan:8080"):
            await client.get("/v1/status", headers={"Host": host})


async def test_control_needs_the_token() -> None:
    """No route of local control does anything without this node's token."""
    routes = (
        ("GET", "/v1/content"),
        ("POST", "/v1/content/publish"),
        ("POST", "/v1/content/download"),
        ("GET", "/v1/content/download/x"),
        ("DELETE", f"/v1/content/{HASH}"),
    )
    shown = (None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe9")
    async with open_client() as client:
        for method, path in routes:
            for text in shown:
                headers = {} if text is None else {"Authorization": text.encode("latin1")}
                answer = await client.http.request(method, path, headers=headers)
                assert (answer.status_code, answer.json()["error"]["code"]) == (401, "not_authorised")


async def test_methods() -> None:
    """Reads cannot be written to."""
    async with open_client() as client:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            answer = await client.ask(method, "/v1/status", 405)
            assert answer["error"]["code"] == "method_not_allowed"


def test_a_client_runs_dry_and_recovers() -> None:
    """A burst empties the bucket of that client alone; time fills it again."""
    buckets = Buckets(per_second=10, burst=5)
    assert [buckets.take("a", 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert buckets.take("b", 0.0)
    assert buckets.take("a", 0.15)
    assert not buckets.take("a", 0.16)


async def test_too_many_requests(mock_clock: MockClock) -> None:
    """A client over its rate gets 429 until it slows down."""
    async with open_client() as client:
        statuses = [(await client.http.get("/v1/nothing")).status_code for _ in range(REQUESTS_BURST + 1)]
        assert statuses == [404] * REQUESTS_BURST + [429]
        mock_clock.jump(1 / REQUESTS_PER_SECOND)
        assert (await client.http.get("/v1/nothing")).status_code == 404


async def test_a_bug_ends_one_request() -> None:
    """If a route fails unexpectedly, the client gets 500 in our form and the next request is served."""
    async with open_client() as client:
        address = (await client.get("/v1/hosts"))["hosts"][0]["address"]
        ledger, broken = client.world.ledger, b"\x10\x08\x01"
        keys = [key for key, _ in ledger._store.iterate(broken)]
        ledger._store.write_batch([(key, b"junk") for key in keys])
        ledger.view = ledger._freeze()
        with capture_logs() as logs:
            answer = await client.http.get(f"/v1/hosts/{address}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
        assert [entry["event"] for entry in logs] == ["request_failed"]
        await client.get("/v1/status")
        assert keys
