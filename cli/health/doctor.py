"""What commonly goes wrong with a node: the machine, its folder, its process, what it knows of the network.

A node that does not run is said to be stopped; no other node is asked in its place.
"""

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chain.errors import InvalidChainSpec
from cli.context.network import NetworkContext, connect, connect_own
from cli.errors import CliError, describe_os_error
from cli.health.host import Finding, check_account, check_content
from cli.terminal.amounts import format_size
from cli.terminal.options import Settings
from node.home.config import ConfigError, load_config
from node.home.home import NODE_ROLES, Home, HomeError
from node.home.process import find_process
from node.keys.keystore import KeystoreError

CLOCK_SECONDS_MAX = 30
DISK_BYTES_MIN = 2**30
LOOP_LAG_MS_MAX = 1000


def check_machine(home: Path) -> list[Finding]:
    """Interpreter and disk."""
    version = sys.version_info[:2]
    nearest = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    return [
        Finding(
            "python 3.11 or 3.12",
            (3, 11) <= version <= (3, 12),
            ".".join(map(str, version)),
            "`make clean`, then `make PYTHON=python3.11 setup`",
        ),
        Finding(
            "assertions are on",
            __debug__,
            "yes" if __debug__ else "python -O",
            "start Python without -O and PYTHONOPTIMIZE",
        ),
        Finding(
            "space on disk",
            free >= DISK_BYTES_MIN,
            f"{format_size(free)} free",
            f"make room: a node needs {format_size(DISK_BYTES_MIN)} beside its content",
        ),
    ]


def check_home(home: Home) -> list[Finding]:
    """The node's folder: each of its files, also where another is damaged."""
    return [
        _try(
            "chain spec",
            lambda: home.load_spec().name,
            f"copy the network's chain spec to {home.chain_file}; `vidya chain check FILE` reads one",
        ),
        _try(
            "settings",
            lambda: _describe_settings(home),
            f"mend the line in {home.config_file}; without the file the usual settings hold",
        ),
        _try(
            "own keys open",
            lambda: _open_keys(home),
            f"bring {home.keys} and {home.password_file} back from a backup; new keys need a new home",
        ),
        _check_private(home),
    ]


def _try(check: str, look: Callable[[], str], next_step: str) -> Finding:
    """What was found, or why it cannot be read."""
    try:
        return Finding(check, True, look(), next_step)
    except OSError as error:
        return Finding(check, False, describe_os_error(error), next_step)
    except (HomeError, InvalidChainSpec, KeystoreError, ConfigError) as error:
        return Finding(check, False, str(error), next_step)


def _describe_settings(home: Home) -> str:
    load_config(home.config_file)
    return "read" if home.config_file.exists() else "none; the usual ones hold"


def _open_keys(home: Home) -> str:
    for role in NODE_ROLES:
        home.load_secret(role)
    return ", ".join(role.value for role in NODE_ROLES)


def _check_private(home: Home) -> Finding:
    private = [path for path in (home.password_file, home.token_file) if path.exists()]
    exposed = [str(path) for path in private if path.stat().st_mode & 0o077]
    return Finding(
        "secrets are private",
        not exposed,
        ", ".join(exposed) or "mode 0600",
        f"`chmod 600 {' '.join(map(shlex.quote, exposed))}`",
    )


def check_process(settings: Settings, home: Home, *, is_all: bool) -> list[Finding]:
    """The process of the folder, and what it says of itself."""
    pid = find_process(home.path)
    if pid is None:
        return [Finding("node runs", False, "stopped", f"`vidya node start --home {home.path}`")]
    rows = [Finding("node runs", True, f"process {pid}", "")]
    try:
        network = connect_own(settings)
        return [*rows, *check_node(network), *check_hosting(network, is_all=is_all)]
    except CliError as error:
        return [*rows, Finding("node answers", False, error.message, f"its log: {home.log_file}")]


def check_node(network: NetworkContext) -> list[Finding]:
    """The running node."""
    found = network.get_status()
    lag = time.time_ns() // 1_000_000 - found["head_time_ms"]
    is_signing = not found["is_validator"] or found["signing"] == "signing"
    signing = " ".join(part for part in (found["signing"], found["signing_reason"]) if part)
    is_alone = len(network.client.get("/v1/validators", limit=1)["validators"]) == 1
    return [
        Finding("node answers", True, network.client.url, ""),
        Finding(
            "synced",
            not found["syncing"],
            f"height {found['height']} of {found['sync_target']}",
            "wait; `vidya status --watch` shows how far it is",
        ),
        Finding("has peers", found["peers"] > 0 or is_alone, str(found["peers"]), "`vidya peers`"),
        Finding(
            "clock and chain agree",
            abs(lag) < CLOCK_SECONDS_MAX * 1000,
            f"head {found['height']} is {lag // 1000} s old",
            "set the clock (`timedatectl`); if it is right, the chain stands: `vidya query validators`",
        ),
        Finding("key signs, if it should", is_signing, signing, "the node's log says more"),
        Finding(
            "loop is quick",
            found["loop_lag_ms"] < LOOP_LAG_MS_MAX,
            f"{found['loop_lag_ms']} ms",
            "the machine is too busy for a validator: see what else runs on it",
        ),
    ]


def check_hosting(network: NetworkContext, *, is_all: bool) -> list[Finding]:
    """The node's account as a host; nothing of an observer."""
    account = network.get_status()["account"]
    if account is None:
        return []
    return [*check_account(network, account), *check_content(network, account, is_all=is_all)]


def check_asked_node(settings: Settings) -> list[Finding]:
    """The node that commands ask, where the home has none."""
    try:
        return check_node(connect(settings))
    except CliError as error:
        return [Finding("node answers", False, error.message, error.hint or "`vidya node start`")]


def format_rows(findings: Sequence[Finding], node: str = "") -> list[dict[str, Any]]:
    """Lines of the report; `node` names whose they are."""
    whose = {"node": node} if node else {}
    return [
        {
            **whose,
            "check": one.check,
            "ok": one.is_ok,
            "found": one.found,
            "next": "" if one.is_ok else one.next,
        }
        for one in findings
    ]
