"""How a node runs: addresses, limits, its account. A TOML file of flat keys; unknown keys are refused.

Nothing here is protocol: two nodes of a network may differ in all of it. Sizes are bytes. A rate of 0 for
uploads or downloads is no limit.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

ANCHOR = re.compile(r"[0-9]{1,18}:[0-9a-f]{64}")
CONFIG_BYTES_MAX = 64 * 2**10
Port = Annotated[int, Meta(ge=0, le=65535)]
Bytes = Annotated[int, Meta(ge=0, le=2**50)]


class ConfigError(Exception):
    """The file is not a configuration; says where."""


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting with its default."""

    name: str = ""
    """Said in each line of the log, if given."""
    account: str = ""
    """Address of the account this node validates and hosts for; empty: an observer."""
    api_host: str = "127.0.0.1"
    api_port: Port = 0
    unsafe_public_api: bool = False
    """Must be true before `api_host` may be anything but loopback."""
    api_names: list[str] = []
    """Host names, beside loopback, by which clients may address the API."""
    p2p_listen: str = "/ip4/127.0.0.1/tcp/0"
    seeds: list[str] = []
    """Addresses to dial first, beside those of the chain spec."""
    state_sync: bool = False
    """Without a store, begin at a snapshot of peers instead of executing every block."""
    trust: str = ""
    """HEIGHT:HASH of a final block that you trust, to begin at a snapshot above it."""
    disk_bytes: Bytes = 5 * 2**30
    """Quota of the content store."""
    upload_bytes_per_second: Bytes = 0
    download_bytes_per_second: Bytes = 0
    scrub_bytes_per_second: Bytes = 2**20
    """How fast the node reads its own content in search of damage; 0: it does not."""
    blocks_kept: Annotated[int, Meta(ge=0)] = 0
    """How many of the newest blocks keep their bodies; 0: all. A node keeps more where others need them."""
    log_level: str = "info"
    log_json: bool = False


def load_config(path: Path) -> NodeConfig:
    """The settings in a file; the defaults where there is none. Raises ConfigError."""
    if not path.exists():
        return NodeConfig()
    if path.stat().st_size > CONFIG_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {CONFIG_BYTES_MAX} bytes")
    try:
        text = path.read_text()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> NodeConfig:
    """The settings in the text of `path`; raises ConfigError."""
    try:
        config = msgspec.convert(tomllib.loads(text), NodeConfig)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if config.trust and ANCHOR.fullmatch(config.trust) is None:
        raise ConfigError(f"{path}: trust is not of the form HEIGHT:HASH")
    if config.api_host not in ("127.0.0.1", "::1", "localhost") and not config.unsafe_public_api:
        raise ConfigError(f"{path}: api_host {config.api_host} is public; see unsafe_public_api")
    return config


def format_config(config: NodeConfig) -> str:
    """TOML text that `load_config` reads back; settings at their default are left out."""
    lines = ["# How this node runs; `vidya config show` lists every setting.\n"]
    for field in msgspec.structs.fields(NodeConfig):
        value = getattr(config, field.name)
        if value != getattr(NodeConfig(), field.name):
            lines.append(f"{field.name} = {msgspec.json.encode(value).decode()}\n")
    return "".join(lines)
