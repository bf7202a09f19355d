"""Records what a real network answers, and its screens: `python -m tests.cli.screens.record FOLDER`.

FOLDER is that of a running devnet in which something has happened: a transfer, a download, a delegation, a
host that was jailed. Without FOLDER only the screens are written again, from the answers that are kept.
"""

import json
import sys
from pathlib import Path
from typing import Any

from cli.context.client import Client
from tests.cli.screens.screens import ANSWERS, GOLDEN, SCREENS, WIDTHS, draw


def record(folder: Path) -> None:
    """Asks the first node for everything that a screen shows."""
    summary = json.loads((folder / "devnet.json").read_text())
    client = Client(summary["nodes"][0]["api"])
    people = {one["name"]: one["address"] for one in summary["accounts"]}
    block = find_block(client, people["alice"])
    height = block["header"]["height"]
    paths = {
        "/v1/status": {},
        "/v1/validators": {},
        "/v1/hosts": {},
        "/v1/datums": {},
        "/v1/supply": {},
        f"/v1/blocks/{height}": {},
        f"/v1/transactions/{block['transactions'][0]['id']}": {},
        **{f"/v1/accounts/{people[name]}": {} for name in ("alice", "bob", "node0")},
        **{f"/v1/hosts/{people[name]}": {} for name in ("node0", "node3")},
        **{f"/v1/datums/{one['id']}": {} for one in summary["datums"][:1]},
    }
    answers = {path: client.get(path) for path in paths}
    kept = {"people": people, "answers": answers}
    ANSWERS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def find_block(client: Client, sender: str) -> Any:
    """The newest block with a transaction of the account."""
    for height in range(client.get("/v1/status")["height"], 0, -1):
        block = client.get(f"/v1/blocks/{height}")
        if any(one["sender"] == sender for one in block["transactions"]):
            return block
    raise SystemExit("alice has sent nothing")


def write_screens() -> None:
    """Draws every screen at every width."""
    GOLDEN.mkdir(exist_ok=True)
    for name in SCREENS:
        for width in WIDTHS:
            (GOLDEN / f"{name}-{width}.txt").write_text(draw(name, width))


if __name__ == "__main__":
    if sys.argv[1:]:
        record(Path(sys.argv[1]))
    write_screens()
