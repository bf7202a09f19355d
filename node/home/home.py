"""The folder of a node: what lies where, and how it is made.

    chain.json        the chain spec; its hash names the network
    config.toml       how this node runs (`node.home.config`); nothing in it is protocol
    password          opens the node's own keys; mode 0600
    keys/             consensus, network and beacon key of this node (`node.keys.keystore`)
    data/             store, log, sign-state, content; one process at a time
    api-token         lets local programs ask this node to do things; mode 0600
    node.log          what a node started in the background prints

The account's key is not here: it stays in the wallet of its owner.
"""

import os
import secrets
from itertools import count
from pathlib import Path

from chain.genesis import ChainSpec, parse_chain_spec
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash
from node.home.chain_file import load_chain_spec
from node.keys import keystore
from node.keys.derivation import KeyRole
from storage.lock import lock_directory

NODE_ROLES = (KeyRole.CONSENSUS, KeyRole.NETWORK, KeyRole.BEACON)
PEER_BOOK_BYTES_MAX = 2**20
PEER_BANS_BYTES_MAX = 4 * 2**20


class HomeError(Exception):
    """The folder is not a node's home, or is one already; the message says what to do."""


class Home:
    """Paths and small files of one node."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.chain_file = path / "chain.json"
        self.config_file = path / "config.toml"
        self.password_file = path / "password"
        self.keys = path / "keys"
        self.data = path / "data"
        self.store = self.data / "store"
        self.state_sync = self.data / "state-sync"
        self.synced_store = self.data / "state-synced"
        self.snapshots = self.data / "snapshots"
        self.wal = self.data / "consensus.wal"
        self.sign_state = self.data / "sign-state"
        self.sign_log = self.data / "signatures.log"
        self.content = self.data / "content"
        self.vouchers = self.data / "vouchers"
        self.peer_book = self.data / "peers"
        self.peer_bans = self.data / "bans"
        self.losses = self.data / "losses"
        self.token_file = path / "api-token"
        self.log_file = path / "node.log"
        self.pid_file = self.data / "pid"
        self.api_url_file = self.data / "api-url"

    def create(self, spec_json: bytes, secrets_of: dict[KeyRole, bytes] | None = None) -> None:
        """Make the folder with fresh keys (or those given); raises HomeError if there is a node in it."""
        if self.chain_file.exists():
            raise HomeError(f"{self.path} is a node's home already")
        parse_chain_spec(spec_json)
        self.create_keys(secrets_of)
        self.data.mkdir(exist_ok=True)
        write_private(self.token_file, secrets.token_hex(32).encode())
        self.chain_file.write_bytes(spec_json)

    def create_keys(self, secrets_of: dict[KeyRole, bytes] | None = None) -> None:
        """Makes the node's own keys, fresh or those given. Existing ones stay: a chain spec may name them."""
        self.keys.mkdir(parents=True, exist_ok=True)
        if not self.password_file.exists():
            write_private(self.password_file, secrets.token_hex(32).encode())
        password, known = self.load_password(), keystore.get_names(self.keys)
        for role in NODE_ROLES:
            if role.value not in known:
                secret = (secrets_of or {}).get(role) or secrets.token_bytes(32)
                keystore.create(
                    self.keys, role.value, secret, password, role=role, profile=keystore.Profile.DEVNET
                )

    def load_spec(self) -> ChainSpec:
        """The chain spec; raises HomeError or InvalidChainSpec."""
        if not self.chain_file.is_file():
            raise HomeError(f"{self.path} is no node's home: there is no chain.json; see `vidya node init`")
        return load_chain_spec(self.chain_file)

    def load_password(self) -> str:
        """The password of the node's keys; raises HomeError, OSError."""
        return _load_text(self.password_file)

    def load_secret(self, role: KeyRole) -> Hash:
        """One of the node's secrets; raises KeystoreError."""
        return keystore.unlock(keystore.load(self.keys, role.value), self.load_password())

    def load_key(self, role: KeyRole) -> KeyPair:
        """One of the node's keys."""
        return KeyPair(self.load_secret(role))

    def load_token(self) -> str:
        """The token that local programs show to the API; raises HomeError, OSError."""
        return _load_text(self.token_file)

    def load_peer_book(self) -> bytes:
        """The encoded peer book of the last run; empty if there is none."""
        return _load_bytes(self.peer_book, PEER_BOOK_BYTES_MAX)

    def load_peer_bans(self) -> bytes:
        """The encoded bans of the last run; empty if there are none."""
        return _load_bytes(self.peer_bans, PEER_BANS_BYTES_MAX)

    def set_store_aside(self) -> Path:
        """Moves a damaged store out of the way, and says where to; raises HomeError or StoreInUse.

        Log and sign-state stay: the key's signatures and its lock still count after the chain is synced
        again.
        """
        with lock_directory(self.data):
            if not self.store.exists():
                raise HomeError(f"{self.store} is not there: the next start syncs from peers anyway")
            names = (self.data / f"{self.store.name}-aside-{number}" for number in count(1))
            target = next(path for path in names if not path.exists())
            return self.store.rename(target)

    def note_process(self, pid: int) -> None:
        """Writes down which process runs the node, atomically."""
        draft = self.pid_file.with_name(f"pid.{os.getpid()}")
        draft.write_text(f"{pid}\n")
        draft.replace(self.pid_file)


def _load_bytes(path: Path, bytes_max: int) -> bytes:
    """What is in the file, up to a bound; empty if it is not there."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        return file.read(bytes_max)


def _load_text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except UnicodeDecodeError as error:
        raise HomeError(f"{path} is not UTF-8 text") from error


def write_private(path: Path, data: bytes) -> None:
    """Writes a new file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
