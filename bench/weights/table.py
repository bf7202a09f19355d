"""Declared weights as text, and `docs/spec/weights.md`, which must agree with the code.

The document's tables stand between markers and are written by `python -m bench.weights --write`;
`tests/chain/test_weights.py` compares them with the code.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from chain.content import LeafProof
from chain.module import CallSpec
from chain.modules import hosting, possession, sessions
from chain.modules.hosting import RegisterSubset
from chain.modules.possession import Prove, ProvenLeaf
from chain.modules.schedule import MODULES
from chain.modules.sessions import HostAllotment, OpenSession, Release, SignedVoucher, Voucher
from chain.primitives.codec import Record
from chain.primitives.types import NO_HASH

DOCUMENT = Path(__file__).parents[2] / "docs" / "spec" / "weights.md"
CALLS, HOOKS = "calls", "hooks"
_VOUCHER = SignedVoucher(Voucher(NO_HASH, NO_HASH, NO_HASH, 0, 0), bytes(64))
_LEAF = ProvenLeaf(bytes(1024), LeafProof((NO_HASH,) * 32))


def _prove(count: int) -> Record:
    return Prove(NO_HASH, 0, (_LEAF,) * count)


def _open_session(count: int) -> Record:
    return OpenSession(NO_HASH, NO_HASH, 0, 0, (HostAllotment(NO_HASH, 1),) * count)


def _release(count: int) -> Record:
    others = (NO_HASH,) * min(count, sessions.RELEASES_MAX)
    return Release(NO_HASH, (_VOUCHER,) * (count - len(others)), others)


def _register_subset(count: int) -> Record:
    added = min(count, hosting.types.CHANGES_MAX)
    return RegisterSubset((NO_HASH,) * added, (NO_HASH,) * (count - added))


PER_ITEM: dict[type[Record], tuple[str, int, Callable[[int], Record]]] = {
    Prove: ("leaf", possession.types.LEAVES_MAX, _prove),
    Release: ("session", 2 * sessions.RELEASES_MAX, _release),
    OpenSession: ("host", sessions.types.HOSTS_MAX, _open_session),
    RegisterSubset: ("datum", 2 * hosting.types.CHANGES_MAX, _register_subset),
}
"""Calls whose weight is a fixed part and one per item: the item, how many at most, such a call."""


def list_calls() -> list[tuple[str, CallSpec]]:
    """(`module.call`, its declaration) of all."""
    return [(f"{module.name}.{spec.name}", spec) for module in MODULES for spec in module.calls.values()]


def compute_weight_max(spec: CallSpec) -> int:
    """The most a call can weigh."""
    if not callable(spec.weight):
        return spec.weight
    _, count_max, build = PER_ITEM[spec.kind]
    return spec.compute_weight(build(count_max))


def describe_weight(spec: CallSpec) -> str:
    """`140`, or `300 + 60 per leaf`."""
    if not callable(spec.weight):
        return str(spec.weight)
    item, _, build = PER_ITEM[spec.kind]
    fixed = spec.compute_weight(build(0))
    return f"{fixed} + {spec.compute_weight(build(1)) - fixed} per {item}"


def format_calls(rows: list[dict[str, Any]]) -> str:
    """The table of calls: declared, and each measured case."""
    specs = dict(list_calls())
    lines = [
        "| call | declared | measured case | keys | declared for it | measured |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        spec = specs[row["call"]]
        name = f"`{row['call']}`" + (" (duty)" if spec.is_duty else "")
        cells = (name, describe_weight(spec), row["case"], row["keys"], row["declared"], row["measured_us"])
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def format_hooks(rows: list[dict[str, Any]]) -> str:
    """The table of what nobody pays for."""
    lines = ["| stage | case | keys | measured, ms |", "|---|---|---|---|"]
    for row in rows:
        cells = (row["hook"], row["case"], row["keys"], f"{row['measured_us'] / 1000:.1f}")
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def write_document(rows: list[dict[str, Any]]) -> None:
    """Replace the tables of the document."""
    text = DOCUMENT.read_text()
    tables = {
        CALLS: format_calls([row for row in rows if row["figure"] == "weights"]),
        HOOKS: format_hooks([row for row in rows if row["figure"] == "weights_hook"]),
    }
    for name, table in tables.items():
        begin, end = get_markers(name)
        head, rest = text.split(begin)
        text = head + begin + "\n" + table + "\n" + end + rest.split(end)[1]
    DOCUMENT.write_text(text)


def get_markers(name: str) -> tuple[str, str]:
    """The lines around a table."""
    return f"<!-- {name}: written by bench.weights -->", f"<!-- end of {name} -->"


def read_table(name: str) -> list[list[str]]:
    """The cells of a table of the document, without its head."""
    begin, end = get_markers(name)
    table = DOCUMENT.read_text().split(begin)[1].split(end)[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
