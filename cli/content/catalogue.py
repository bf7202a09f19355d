"""The catalogue: entries with their hosts, publishing a folder, listing it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chain.content import Manifest, compute_files_hash
from chain.content import compute_datum_id as compute_manifest_id
from chain.modules.catalogue import ListDatum, compute_datum_id
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.errors import CliError, RequestRefused
from cli.exits import ExitCode
from cli.terminal import output
from cli.transactions.sending import send

PUBLISH_SECONDS_MAX = 3600.0


def get_if_there(network: NetworkContext, path: str, **parameters: Any) -> Any:
    """The answer; None if there is no such thing."""
    try:
        return network.client.get(path, **parameters)
    except CliError as error:
        if error.exit is not ExitCode.NOT_FOUND:
            raise
        return None


def require_datum(network: NetworkContext, datum: str) -> dict[str, Any]:
    """An entry of the catalogue with its hosts; raises RequestRefused."""
    found = get_if_there(network, f"/v1/datums/{datum}")
    if found is None:
        raise RequestRefused("catalogue.not_listed", f"the catalogue has no datum {datum}")
    entry: dict[str, Any] = found
    return entry


def publish(network: NetworkContext, path: Path) -> dict[str, Any]:
    """Has the node host a file or folder where it lies; reads all of it."""
    body = {"path": str(path.resolve())}
    try:
        published: dict[str, Any] = network.client.post(
            "/v1/content/publish", body, seconds_max=PUBLISH_SECONDS_MAX
        )
    except KeyboardInterrupt:
        output.end_line()
        output.say("stopped; nothing is listed. The node reads on; run it again when it has finished")
        raise
    return published


def describe_manifest(manifest: Manifest) -> dict[str, Any]:
    """What a node says of a datum that it has published, without a node."""
    return {
        "datum": compute_manifest_id(manifest).hex(),
        "files_hash": compute_files_hash(manifest).hex(),
        "root": manifest.root.hex(),
        "size_bytes": manifest.length,
        "files": len(manifest.files),
    }


def build_listing(published: dict[str, Any], title: str, category: str, tags: Sequence[str]) -> ListDatum:
    """The call that puts it into the catalogue."""
    return ListDatum(
        files_hash=bytes.fromhex(published["files_hash"]),
        root=bytes.fromhex(published["root"]),
        size_bytes=published["size_bytes"],
        title=title,
        category=category,
        tags=tuple(tags),
        description="",
    )


def ensure_listed(network: NetworkContext, account: WalletAccount, listings: Sequence[ListDatum]) -> None:
    """Lists what is not in the catalogue yet."""
    missing = [
        one for one in listings if get_if_there(network, f"/v1/datums/{compute_datum_id(one).hex()}") is None
    ]
    if missing:
        send(network, account, missing)
