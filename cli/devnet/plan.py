"""The folder of a devnet: what lies where, and how it is made.

    chain.json      the chain spec
    devnet.json     what `--json-out` gives: nodes, accounts, datums
    password        of all keys in the wallet
    env             variables for a shell
    wallet/         alice, bob, carol, dave; treasury; the account of each node
    nodes/NAME/     the homes (`node.home.home`)
    content/        sample files, unless --content names a folder
    seeded          the nodes that were to fetch the content have it

Made once: starting it again runs the same chain. Ports are chosen when it is made and are kept, since the
chain spec says where hosts are reached. The keys are worth nothing, so their files are quick to open.
"""

import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from msgspec import MsgspecError, json

from chain.genesis import ChainSpec, format_chain_spec, parse_chain_spec
from chain.modules.beacon import compute_chain
from chain.modules.catalogue import ListDatum, compute_datum_id
from chain.primitives.addresses import encode_address
from chain.primitives.codec import replace
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address
from chain.spec_builder import BEACON_LINKS, GenesisValidator, build_spec
from cli.context.urls import build_url
from cli.devnet.genesis_content import list_sources, publish_offline
from cli.errors import CliError, UsageFault
from cli.nodes.homes import create_home
from cli.nodes.locks import hold
from cli.nodes.ports import LOOPBACK, find_ports
from node.duties.reveals import compute_chain_secret
from node.home.chain_file import load_chain_spec
from node.home.config import NodeConfig
from node.home.home import NODE_ROLES, Home, write_private
from node.home.profiles import load_profile
from node.keys import keystore
from node.keys.derivation import KeyRole
from p2p.identity import PeerAddress, compute_peer_id_of_seed
from storage.lock import FileLock

T = TypeVar("T")

VALIDATORS_MAX = 32
SUMMARY_LISTS = ("nodes", "accounts", "datums")
PEOPLE = ("alice", "bob", "carol", "dave")
TREASURY = "treasury"
"""Holds the rest of the supply; `vidya devnet fund` gives of it."""
FIRST_PORT, API_PORT_OFFSET = 7700, 80
SUPPLY = 100_000_000
BOND = 100_000
VALIDATOR_BALANCE = 20_000
"""What a validator has beside its bond."""
PERSON_BALANCE = 1_000_000
COMMISSION_PPM = 50_000
CLOCK_BEHIND_MS = 1_000


class Options(NamedTuple):
    """What a new devnet is to be."""

    validators: int = 4
    block_ms: int | None = None
    """Block interval; None: as the profile has it."""
    content: Path | None = None
    """A folder to publish; None: the sample."""
    first_port: int = FIRST_PORT
    """Of the nodes' connections, one each; their APIs are `API_PORT_OFFSET` above. Taken ones are passed
    over. 0: any free ports."""
    changes: tuple[str, ...] = ()
    """`MODULE.PARAMETER=NUMBER`, instead of the profile's value."""


@dataclass(frozen=True)
class Devnet:
    """Paths of one devnet."""

    path: Path

    @property
    def chain_file(self) -> Path:
        """The chain spec."""
        return self.path / "chain.json"

    @property
    def summary_file(self) -> Path:
        """What is known of it."""
        return self.path / "devnet.json"

    @property
    def password_file(self) -> Path:
        """Opens all keys of the wallet."""
        return self.path / "password"

    @property
    def seeded_file(self) -> Path:
        """Is there once every node hosts the content of genesis."""
        return self.path / "seeded"

    @property
    def wallet(self) -> Path:
        """Keys of people and of nodes' accounts."""
        return self.path / "wallet"

    @property
    def environment_file(self) -> Path:
        """Variables for a shell: `export $(cat FILE)`."""
        return self.path / "env"

    @property
    def exists(self) -> bool:
        """Whether it was made, to the end."""
        return self.summary_file.is_file()

    @property
    def marker_file(self) -> Path:
        """Is there while it is made: a folder without it and without a summary is somebody else's."""
        return self.path / "devnet.unfinished"

    @property
    def is_begun(self) -> bool:
        """Whether it was made, or begun."""
        return self.exists or self.marker_file.is_file()

    def list_own(self) -> list[Path]:
        """All that making and seeding put into the folder."""
        folders = [self.path / name for name in ("nodes", "wallet", "content", "downloads", "light")]
        files = [self.summary_file, self.chain_file, self.password_file, self.environment_file]
        return [*folders, *files, self.seeded_file]

    def get_variables(self) -> dict[str, str]:
        """What makes other commands talk to the first node, with the keys of this devnet."""
        return self.build_variables(self.load_summary())

    def build_variables(self, summary: dict[str, Any]) -> dict[str, str]:
        """The same, of a devnet whose summary is not written yet."""
        return {
            "VIDYA_API": summary["nodes"][0]["api"],
            "VIDYA_HOME": str(self.path),
            "VIDYA_PASSWORD_FILE": str(self.password_file),
        }

    def get_home(self, name: str) -> Home:
        """The folder of a node."""
        return Home(self.path / "nodes" / name)

    def list_homes(self) -> list[Home]:
        """The folders of all nodes, in order."""
        return [Home(Path(node["home"])) for node in self.load_summary()["nodes"]]

    def find_homes(self) -> list[Home]:
        """The folders of nodes that lie here, whatever the summary says: a damaged devnet can be deleted."""
        return [Home(path) for path in sorted((self.path / "nodes").glob("*"))]

    def load_summary(self) -> dict[str, Any]:
        """Nodes, accounts, datums; raises CliError if there is no devnet."""
        if not self.exists:
            raise CliError(
                "no_devnet", f"there is no devnet in {self.path}", f"`vidya devnet up --dir {self.path}`"
            )
        try:
            summary: dict[str, Any] = json.decode(self.summary_file.read_bytes(), type=dict[str, Any])
        except (MsgspecError, UnicodeDecodeError) as error:
            raise self._build_damaged(str(error)) from error
        missing = [name for name in SUMMARY_LISTS if not isinstance(summary.get(name), list)]
        if missing:
            raise self._build_damaged(f"{', '.join(missing)} missing")
        return summary

    def _build_damaged(self, reason: str) -> CliError:
        message = f"{self.summary_file} is not the summary of a devnet of this version: {reason}"
        return CliError("damaged_devnet", message, f"`vidya devnet reset --dir {self.path} -y`")

    def save_summary(self, summary: dict[str, Any]) -> None:
        """Replaces it whole."""
        draft = self.summary_file.with_suffix(".new")
        draft.write_bytes(json.format(json.encode(summary), indent=2) + b"\n")
        draft.replace(self.summary_file)

    def load_spec(self) -> ChainSpec:
        """The chain spec."""
        return load_chain_spec(self.chain_file)


@dataclass(frozen=True)
class NodePlan:
    """A node to be: its account's seed, its own secrets, its ports."""

    name: str
    account_seed: bytes
    secrets: dict[KeyRole, bytes]
    p2p_port: int
    api_port: int

    @property
    def account(self) -> Address:
        """The account it validates and hosts for."""
        return KeyPair(self.account_seed).public_key

    def build_seat(self, unit: int) -> GenesisValidator:
        """Its place in genesis."""
        peer = compute_peer_id_of_seed(self.secrets[KeyRole.NETWORK])
        tip = compute_chain(compute_chain_secret(self.secrets[KeyRole.BEACON], 0), BEACON_LINKS)
        return GenesisValidator(
            account=self.account,
            consensus_key=KeyPair(self.secrets[KeyRole.CONSENSUS]).public_key,
            bond=BOND * unit,
            commission_ppm=COMMISSION_PPM,
            beacon_tip=tip,
            beacon_links=BEACON_LINKS,
            peer_id=peer,
            addresses=(str(PeerAddress(LOOPBACK, self.p2p_port, peer)),),
        )


def create(devnet: Devnet, options: Options) -> None:
    """Makes the folder, whole or not at all. Raises CliError if something else is there, and keeps that."""
    # `delete` would remove it together with the devnet: a wallet holds keys that nobody else has.
    taken = [path.name for path in devnet.list_own() if path.exists()]
    if taken and not devnet.is_begun:
        raise CliError("not_a_devnet", f"{devnet.path} has its own {', '.join(taken)}", "--dir FOLDER")
    devnet.path.mkdir(parents=True, exist_ok=True)
    is_unfinished = devnet.marker_file.is_file()
    with lock_making(devnet):
        # Another command may have made it between the look and the lock.
        if not devnet.exists:
            if is_unfinished:
                hint = f"`vidya devnet reset --dir {devnet.path}`"
                raise CliError("unfinished", f"{devnet.path} was not made to the end", hint)
            try:
                devnet.wallet.mkdir()
                fill_folder(devnet, options)
            except BaseException:
                delete(devnet)
                raise
        devnet.marker_file.unlink()


def lock_making(devnet: Devnet) -> FileLock:
    """Held while the folder is made; raises CliError if another command makes it."""
    hint = f"wait; `vidya devnet status --dir {devnet.path}` shows it once it is there"
    return hold(devnet.marker_file, f"makes the devnet in {devnet.path}", hint)


def fill_folder(devnet: Devnet, options: Options) -> None:
    """Keys, content, chain spec, homes; the summary last, which tells that all is there."""
    profile = set_pace(change_parameters(load_profile("devnet"), options.changes), options.block_ms)
    plans = build_plans(options.validators, options.first_port)
    people = {name: secrets.token_bytes(32) for name in (*PEOPLE, TREASURY)}
    founders = list_founders(plans)
    stores = [devnet.get_home(plan.name).content for plan in founders]
    sources = list_sources(devnet.path / "content", options.content)
    entries = publish_offline(sources, stores, NodeConfig().disk_bytes)
    spec = build_devnet_spec(profile, plans, people, [entry.listing for entry in entries])
    write_private(devnet.password_file, secrets.token_hex(16).encode() + b"\n")
    seeds = {**people, **{plan.name: plan.account_seed for plan in plans}}
    save_keys(devnet, seeds)
    spec_json = format_chain_spec(spec)
    for plan in plans:
        config = build_plan_config(plan, spec)
        create_home(devnet.get_home(plan.name).path, spec_json, config, plan.secrets)
    devnet.chain_file.write_bytes(spec_json)
    summary = build_summary(devnet, spec, plans, seeds)
    lines = [f"{name}={value}\n" for name, value in devnet.build_variables(summary).items()]
    devnet.environment_file.write_text("".join(lines))
    devnet.save_summary({**summary, "datums": [entry.summary for entry in entries]})


def delete(devnet: Devnet) -> None:
    """Removes what `create` and seeding made, and nothing else."""
    for path in devnet.list_own():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    devnet.marker_file.unlink(missing_ok=True)
    if devnet.path.is_dir() and not any(devnet.path.iterdir()):
        devnet.path.rmdir()


def change_parameters(profile: ChainSpec, changes: Sequence[str]) -> ChainSpec:
    """The profile with some numbers changed; raises UsageFault for a parameter that it does not have.

    Whether the values fit each other is found when genesis is built.
    """
    document = json.decode(format_chain_spec(profile))
    for change in changes:
        name, _, value = change.partition("=")
        module, _, parameter = name.partition(".")
        known = document[module].get("parameters", {}) if isinstance(document.get(module), dict) else {}
        if type(known.get(parameter)) is not int or not (value.isascii() and value.isdecimal()):
            raise UsageFault(f"{change[:80]!r} changes no number of the chain spec", "`vidya query params`")
        known[parameter] = int(value)
    return parse_chain_spec(json.encode(document))


def set_pace(profile: ChainSpec, block_ms: int | None) -> ChainSpec:
    """The profile with another block interval; evidence expires after as many blocks as before."""
    if block_ms is None:
        return profile
    before = profile.system.parameters
    age_ms = before.evidence_age_ms * block_ms // before.block_ms
    after = replace(before, block_ms=block_ms, evidence_age_ms=age_ms)
    return replace(profile, system=replace(profile.system, parameters=after))


def build_plans(count: int, first_port: int) -> list[NodePlan]:
    """Fresh secrets and free ports for so many nodes; see `Options.first_port`."""
    p2p_ports = find_ports(first_port, count)
    api_ports = find_ports(max(first_port + API_PORT_OFFSET, p2p_ports[-1] + 1) if first_port else 0, count)
    return [
        NodePlan(
            f"node{n}",
            secrets.token_bytes(32),
            {role: secrets.token_bytes(32) for role in NODE_ROLES},
            p2p_ports[n],
            api_ports[n],
        )
        for n in range(count)
    ]


def list_founders(nodes: Sequence[T]) -> Sequence[T]:
    """Those that hold the content from genesis on; the others fetch it."""
    return nodes[: max(1, len(nodes) // 2)]


def build_devnet_spec(
    profile: ChainSpec, plans: Sequence[NodePlan], people: dict[str, bytes], listings: Sequence[ListDatum]
) -> ChainSpec:
    """Who owns what: validators their bond and some money, people a gift, the treasury the rest."""
    founders, datums = list_founders(plans), tuple(compute_datum_id(listing) for listing in listings)
    unit = 10**profile.decimals
    balances = [(plan.account, (BOND + VALIDATOR_BALANCE) * unit) for plan in plans]
    balances += [(KeyPair(people[name]).public_key, PERSON_BALANCE * unit) for name in PEOPLE]
    rest = SUPPLY * unit - sum(amount for _, amount in balances)
    balances.append((KeyPair(people[TREASURY]).public_key, rest))
    return build_spec(
        profile,
        name="devnet",
        # Behind every clock of this machine, so that the first block can follow at once.
        time_ms=time.time_ns() // 1_000_000 - CLOCK_BEHIND_MS,
        seats=[plan.build_seat(unit) for plan in plans],
        accounts=balances,
        members=[*(plan.account for plan in plans), KeyPair(people["alice"]).public_key],
        listings=[(founders[0].account, listing) for listing in listings],
        holdings=[(plan.account, datums) for plan in founders],
    )


def build_plan_config(plan: NodePlan, spec: ChainSpec) -> NodeConfig:
    """How the node runs."""
    return NodeConfig(
        name=plan.name,
        account=encode_address(spec.prefix, plan.account),
        api_port=plan.api_port,
        p2p_listen=f"/ip4/{LOOPBACK}/tcp/{plan.p2p_port}",
    )


def save_keys(devnet: Devnet, seeds: dict[str, bytes]) -> None:
    """The wallet."""
    password = devnet.password_file.read_text().strip()
    for name, seed in seeds.items():
        keystore.create(
            devnet.wallet, name, seed, password, role=KeyRole.ACCOUNT, profile=keystore.Profile.DEVNET
        )


def build_summary(
    devnet: Devnet, spec: ChainSpec, plans: Sequence[NodePlan], seeds: dict[str, bytes]
) -> dict[str, Any]:
    """What `--json-out` gives, but for the datums."""
    addresses = {name: encode_address(spec.prefix, KeyPair(seed).public_key) for name, seed in seeds.items()}
    return {
        "dir": str(devnet.path),
        "chain": str(devnet.chain_file),
        "nodes": [
            {
                "name": plan.name,
                "home": str(devnet.get_home(plan.name).path),
                "api": build_url(LOOPBACK, plan.api_port),
                "p2p": str(
                    PeerAddress(
                        LOOPBACK, plan.p2p_port, compute_peer_id_of_seed(plan.secrets[KeyRole.NETWORK])
                    )
                ),
                "account": addresses[plan.name],
            }
            for plan in plans
        ],
        "accounts": [
            {
                "name": name,
                "address": address,
                "keystore": str(devnet.wallet / f"{name}.json"),
                "password_file": str(devnet.password_file),
            }
            for name, address in addresses.items()
        ],
        "datums": [],
    }
