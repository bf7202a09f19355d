"""docs/spec/api.md and the OpenAPI document say the same."""

import re
from pathlib import Path

from tests.node.api.world import open_client

ROUTE = re.compile(r"^\| `(GET|POST|DELETE) (/\S+)` \|", re.MULTILINE)


async def test_every_route_is_documented_and_every_documented_route_exists(repository: Path) -> None:
    """The page lists exactly the routes of the OpenAPI document, with the same methods and parameters."""
    page = (repository / "docs/spec/api.md").read_text()
    async with open_client() as client:
        document = await client.get("/v1/openapi.json")
    served = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert set(ROUTE.findall(page)) == served


async def test_every_operation_says_what_it_does_and_answers() -> None:
    """Each operation has a description, and its answers of JSON a schema."""
    async with open_client() as client:
        document = await client.get("/v1/openapi.json")
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["description"], path
            content = operation["responses"]["200"].get("content", {})
            assert all(one.get("schema") for one in content.values() if "application/json" in content), path
            assert "default" in operation["responses"], path


async def test_every_error_code_of_ours_is_documented(repository: Path) -> None:
    """Codes that the API's own files raise are all in the table of the page."""
    page = (repository / "docs/spec/api.md").read_text()
    raised = set()
    for file in (repository / "node/api").rglob("*.py"):
        raised |= set(
            re.findall(
                r"(?:BadRequest|NotFound|NotReady|NotAuthorised|HostRefused|RequestTimeout|Gone|"
                r"BodyTooLarge|TooManyRequests|build_body)\(\s*\"(\w+)\"",
                file.read_text(),
            )
        )
    assert raised
    assert {code for code in raised if f"`{code}`" not in page} == set()
