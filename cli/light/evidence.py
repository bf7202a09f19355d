"""A fork that was seen: it is kept in a file, and reported to nodes.

A report is a duty: it costs nothing, and any key may bring it. The key here is made for the purpose and
forgotten, so nobody gets the reporter's share. Amnesia (signing two blocks in two rounds) cannot be
reported: two messages do not show it.
"""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from chain.genesis import ChainSpec, compute_genesis_hash
from chain.light import Divergence
from chain.modules.offences import Report
from chain.primitives.codec import encode
from chain.primitives.keys import KeyPair
from chain.runtime import build_call
from chain.transaction import TRANSACTION_VERSION, Transaction, sign_transaction
from chain.votes import DuplicateVote
from cli.errors import CliError
from cli.light.client import NodeApi
from cli.terminal import output
from storage.files import atomic_write

REPORT_LIFETIME_BLOCKS = 100


class SubmitApi(NodeApi, Protocol):
    """A node that takes transactions too."""

    def post(self, path: str, body: Any) -> Any:
        """The answer to a JSON body; raises CliError."""


def keep(folder: Path, found: Divergence) -> Path:
    """Writes both blocks of the fork as hex of their canonical encodings; returns the file's path."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"divergence-{found.ours.header.height}.json"
    blocks = {"common": found.common, "ours": found.ours, "theirs": found.theirs}
    text = json.dumps({name: encode(block).hex() for name, block in blocks.items()}, indent=2)
    atomic_write(file, text.encode())
    return file


def submit(spec: ChainSpec, evidence: Sequence[DuplicateVote], apis: Sequence[SubmitApi]) -> int:
    """Sends reports to all nodes; returns how many some node accepted. Refusals are said, not raised."""
    key, taken = KeyPair(secrets.token_bytes(32)), set[int]()
    for api in apis:
        try:
            signed = build_reports(spec, key, evidence, int(api.get("/v1/status")["height"]))
            results = api.post("/v1/transactions", [one.hex() for one in signed])["results"]
            errors = [one["error"] for one in results]
        except (CliError, KeyError, TypeError, ValueError) as error:
            output.say(f"{api.url} takes no reports: {error}")
            continue
        taken |= {number for number, error in enumerate(errors) if error is None}
        for refusal in filter(None, errors):
            output.say(f"{api.url} refuses a report: {refusal}")
    return len(taken)


def build_reports(
    spec: ChainSpec, key: KeyPair, evidence: Sequence[DuplicateVote], height: int
) -> list[bytes]:
    """A signed duty per offence, to be included soon after `height`."""
    lifetime = min(REPORT_LIFETIME_BLOCKS, spec.system.parameters.transaction_lifetime_blocks_max)
    transactions = [
        Transaction(
            version=TRANSACTION_VERSION,
            genesis_hash=compute_genesis_hash(spec),
            sender=key.public_key,
            nonce=0,
            valid_until=height + lifetime,
            fee_max=0,
            tip=0,
            calls=(build_call(Report(one)),),
        )
        for one in evidence
    ]
    return [encode(sign_transaction(key, one)) for one in transactions]
