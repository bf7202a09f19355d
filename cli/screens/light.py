"""A sample of possession proofs: how many of each host were looked at, and how sure that makes one."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from cli.context.readable import Reader
from cli.terminal.cells import Cell

OUTCOMES = ("shown", "missed", "not_shown")


def build_sample(reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """A line per epoch and host, the sums, and what may have gone unnoticed."""
    return {
        "drawn": [row for epoch in found["epochs"] for row in _list_rows(reader, epoch)],
        "shown": found["shown"],
        "missed": found["missed"],
        "not shown": Cell(str(found["not_shown"]), "bad" if found["not_shown"] else ""),
        "unnoticed": ", ".join(
            f"{chance} if a host lacks {share}" for share, chance in found["unnoticed_if_missing"].items()
        ),
    }


def _list_rows(reader: Reader, epoch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    drawn = Counter(one["host"] for one in epoch["draws"])
    counts = Counter((one["host"], one["outcome"]) for one in epoch["draws"])
    for host in sorted(drawn):
        told = {outcome.replace("_", " "): counts[host, outcome] for outcome in OUTCOMES}
        yield {
            "epoch": epoch["epoch"],
            "host": reader.build_name(host),
            "drawn": drawn[host],
            **told,
        }
