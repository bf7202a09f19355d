"""An entry of the catalogue, and who hosts it now."""

from collections.abc import Mapping
from typing import Any

from cli.context.readable import Reader
from cli.screens.hosts import build_hosts


def build_datum(reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """What it is, who listed it, and its hosts."""
    datum = reader.read(found["datum"])
    hosts = [
        {field: one[field] for field in ("name", "state", "pay_factor", "capacity", "bytes")}
        for one in build_hosts(reader, found["hosts"])
    ]
    told = {
        "datum": found["id"],
        "title": datum["title"],
        "category": datum["category"],
        "tags": datum["tags"],
        "description": datum["description"] or None,
        "size": datum["size_bytes"],
        "admitted": found["is_admitted"],
        "listed in block": datum["listed_at"],
        "listed by": reader.build_name(found["datum"]["lister"]),
        "bond": datum["bond"],
        "hosted by": hosts or "nobody",
    }
    return {label: value for label, value in told.items() if value is not None}
