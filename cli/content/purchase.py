"""A datum bought by this process: what it costs, its session, and what an earlier try has left.

Chunks and session lie in HOME/downloads/ID until the files are written. The session's key is saved before the
session is opened, so that a try that dies in between leaves no session that nobody can use.
"""

import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import MsgspecError, json

from chain.content import Manifest
from chain.modules.membership import Join
from chain.modules.sessions import compute_price
from chain.primitives.keys import KeyPair
from cli.content.catalogue import get_if_there
from cli.content.sessions import Opened, compute_limit, open_sessions
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.errors import RequestRefused
from cli.nodes.locks import hold
from cli.nodes.reach import Target, find_unreachable
from cli.terminal import output
from cli.transactions.sending import send
from node.content.downloads import DownloadJob, SessionHost
from node.home.home import write_private
from storage.content.selection import compute_bitmap, select_files
from storage.content.store import ContentStore
from storage.lock import FileLock

QUOTA_SPARE_BYTES = 64 * 2**20
SPARE_BLOCKS = 8
"""A session that ends sooner is not used again."""

Entry = dict[str, Any]


class Folder(NamedTuple):
    """What a download keeps until its files are written."""

    path: Path

    @property
    def store(self) -> Path:
        """Verified chunks."""
        return self.path / "store"

    @property
    def payments(self) -> Path:
        """What each host of the session was promised, and what came for it."""
        return self.path / "payments"

    @property
    def losses(self) -> Path:
        """Hosts that took pay and did not deliver, in any download."""
        return self.path.parent / "losses"

    @property
    def session_file(self) -> Path:
        """The session, with the secret that vouchers are signed with; mode 0600."""
        return self.path / "session.json"

    def lock(self) -> FileLock:
        """Held by the command that buys the datum; raises CliError if another one does, before it pays."""
        hint = "wait until it is done; `vidya get` writes the files to a second place then"
        return hold(self.path.with_suffix(".lock"), "downloads it already", hint)

    def forget(self) -> None:
        """The files are where they should be: chunks and session are needed no more."""
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.rmtree(self.payments, ignore_errors=True)
        self.session_file.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()


class Kept(NamedTuple):
    """What an earlier try has fetched."""

    manifest: Manifest | None = None
    is_complete: bool = False
    held_bytes: int = 0


def look_at_store(folder: Folder, entry: Entry, paths: tuple[str, ...] = ()) -> Kept:
    """What is in the store of an earlier try; complete if it has all of the wanted files."""
    datum = bytes.fromhex(entry["id"])
    if not folder.store.exists():
        return Kept()
    with open_store(folder, entry) as store:
        manifest = store.get_manifest(datum)
        if manifest is None:
            return Kept()
        wanted = compute_bitmap(select_files(manifest, paths))
        held = int.from_bytes(store.get_bitmap(datum), "little")
        return Kept(manifest, not wanted & ~held, store.usage().used_bytes)


def open_store(folder: Folder, entry: Entry) -> ContentStore:
    """The store of the download."""
    return ContentStore(folder.store, 2 * entry["datum"]["size_bytes"] + QUOTA_SPARE_BYTES)


def list_usable_hosts(network: NetworkContext, entry: Entry) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The hosts that answer, jailed ones only if there are no others; and why the rest is not used."""
    targets = [Target(host["address"], host["addresses"]) for host in entry["hosts"]]
    failures = find_unreachable(network.genesis_hash, targets) if targets else {}
    reached = [host for host in entry["hosts"] if host["address"] not in failures]
    return [host for host in reached if not host["is_jailed"]] or reached, failures


def require_hosts(network: NetworkContext, entry: Entry) -> Entry:
    """The entry with those hosts alone that can deliver; raises RequestRefused if there are none."""
    hosts, failures = list_usable_hosts(network, entry)
    if not hosts:
        told = "; ".join(f"{who}: {reason}" for who, reason in failures.items()) or "it has none"
        message = f"no host of {entry['datum']['title']} can be reached ({told}); nothing was bought"
        raise RequestRefused("no_host", message, "try again later")
    return {**entry, "hosts": hosts}


def build_quote(network: NetworkContext, entry: Entry, account: WalletAccount | None) -> dict[str, Any]:
    """What the datum would cost now, and how long it would take at the rate that its hosts declare."""
    size = entry["datum"]["size_bytes"]
    hosts, failures = list_usable_hosts(network, entry)
    price = network.client.get("/v1/params")["sessions"]["price_per_gib"]
    rate = sum(host["capacity"] for host in hosts)
    is_joining = account is not None and not is_member(network, account)
    gate = network.spec.membership.parameters
    return {
        "id": entry["id"],
        "title": entry["datum"]["title"],
        "size_bytes": size,
        "price_per_gib": price,
        "paid": compute_price(size, price),
        "deposit": len(hosts) * compute_limit(size, price, len(hosts)) if hosts else 0,
        "seconds_at_least": -(-size // rate) if rate else None,
        "hosts_reached": len(hosts),
        "hosts_listed": len(entry["hosts"]),
        "membership": gate.lock + gate.fee_lockers + gate.fee_burned if is_joining else 0,
        "unreachable": failures,
    }


def is_member(network: NetworkContext, account: WalletAccount) -> bool:
    """Whether the account may buy."""
    found = network.client.get(f"/v1/accounts/{network.address(account.address)}")["membership"]
    return found is not None and found["unlocks_in"] is None


def ensure_member(network: NetworkContext, account: WalletAccount) -> None:
    """Passes the gate if the account has not, after asking as for any transaction."""
    if is_member(network, account):
        return
    gate = network.spec.membership.parameters
    locked, paid = network.amount(gate.lock), network.amount(gate.fee_lockers + gate.fee_burned)
    output.say(f"{account.name} is no member yet; joining locks {locked} and costs {paid}")
    send(network, account, [Join()])


def resume_session(network: NetworkContext, folder: Folder) -> Opened | None:
    """The session of an earlier try, if it is still open."""
    try:
        saved = json.decode(folder.session_file.read_bytes())
        opened = Opened(**{**saved, "voucher_secret": bytes.fromhex(saved["voucher_secret"])})
    except (FileNotFoundError, MsgspecError, TypeError, ValueError, KeyError):
        return None
    found = get_if_there(network, f"/v1/sessions/{opened.session}")
    if found is None or found["session"]["is_closing"]:
        return None
    session = found["session"]
    if session["voucher_key"] != KeyPair(opened.voucher_secret).public_key.hex():
        return None
    is_long_enough = session["expires_at"] > network.get_status()["height"] + SPARE_BLOCKS
    return opened._replace(price_per_gib=session["price_per_gib"]) if is_long_enough else None


def begin_session(
    network: NetworkContext, account: WalletAccount, entry: Entry, folder: Folder, price_max: int | None
) -> Opened:
    """A new session, noted in the folder."""
    folder.path.mkdir(parents=True, exist_ok=True)
    stored = network.client.get(f"/v1/accounts/{network.address(account.address)}")
    secret = secrets.token_bytes(32)
    save_session(folder, Opened(stored["session_next"], secret, stored["height"], 0, 0))
    (opened,) = open_sessions(network, account, [entry], price_max, [secret])
    save_session(folder, opened)
    output.say(f"session {opened.session}: deposit {network.amount(opened.deposit)}, the rest returns")
    return opened


def save_session(folder: Folder, opened: Opened) -> None:
    """Notes a session and its key, for the next try."""
    folder.session_file.unlink(missing_ok=True)
    written = {**opened._asdict(), "voucher_secret": opened.voucher_secret.hex()}
    write_private(folder.session_file, json.encode(written))


def build_job(
    network: NetworkContext, entry: Entry, opened: Opened, paths: tuple[str, ...] = ()
) -> DownloadJob:
    """What to fetch and from whom."""
    addresses = {host["address"]: tuple(host["addresses"]) for host in entry["hosts"]}
    allotments = network.client.get(f"/v1/sessions/{opened.session}")["allotments"]
    return DownloadJob(
        session=bytes.fromhex(opened.session),
        opened_at=opened.height,
        datum=bytes.fromhex(entry["id"]),
        root=bytes.fromhex(entry["datum"]["root"]),
        size_bytes=entry["datum"]["size_bytes"],
        price_per_gib=opened.price_per_gib,
        voucher_key=KeyPair(opened.voucher_secret),
        hosts=tuple(
            SessionHost(network.find_address(one["host"]), addresses.get(one["host"], ()), one["limit"])
            for one in allotments
        ),
        paths=paths,
    )
