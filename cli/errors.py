"""Errors of commands: what happened, why, and the next command.

CliError                 anything a command ends with on purpose; carries its exit code
├── UsageFault           what was typed cannot be meant
├── RequestRefused       the network or a node said no; `code` is its own
└── OutcomeUnknown       sent, and nothing is known of it yet

Expected failures of the layers below (wrong password, damaged file, no node's home) become CliErrors in
`explain`; anything else is a bug and keeps its traceback.
"""

import errno
import os
import re
import sys

from cli.exits import ExitCode, get_exit

HINTS = {
    "unreachable": "is the node running? `vidya node start`, or name another with --api URL",
    "not_synced": "wait until `vidya status` says that it is synced",
    "insufficient_balance": "`vidya query account` shows what is there",
    "balances.insufficient_balance": "`vidya query account` shows what is there",
    "sessions.not_member": "`vidya tx join-collective`",
    "membership.not_member": "`vidya tx join-collective`",
    "juries.not_member": "`vidya tx join-collective`",
    "hosting.not_host": "`vidya join`, or `vidya tx register-host`",
    "hosting.uncovered_bytes": "`vidya tx bond AMOUNT`, then again",
    "validators.bond_too_small": "`vidya query params` says how much (bond_min); `vidya tx bond AMOUNT`",
    "catalogue.not_listed": "`vidya search` lists what there is",
    "offences.still_jailed": "`vidya query hosts ADDRESS` says until when",
    "listen_failed": "stop what listens there, or change api_port or p2p_listen in the node's config.toml",
    "trust_expired": "`vidya light verify --trust HEIGHT:HASH` begins at a block that somebody trusted names",
    "expired": "send it again; nothing happened",
}


class CliError(Exception):
    """Ends a command; told to the user, never a traceback."""

    def __init__(self, code: str, message: str, hint: str = "", status: ExitCode = ExitCode.FAILURE) -> None:
        super().__init__(message)
        self.code, self.message, self.exit = code, message, status
        self.hint = hint or HINTS.get(code, "")


class UsageFault(CliError):
    """What was typed cannot be meant."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("usage", message, hint, ExitCode.USAGE)


class RequestRefused(CliError):
    """A node or the network said no."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint, get_exit(code))


class OutcomeUnknown(CliError):
    """It was sent; whether it takes effect is not known yet."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__("timed_out", message, hint, ExitCode.OUTCOME_UNKNOWN)


_EXPECTED = {
    "node.keys.keystore": "KeystoreError",
    "node.keys.derivation": "DerivationError",
    "node.home.home": "HomeError",
    "node.home.config": "ConfigError",
    "node.home.validator_files": "ValidatorFileError",
    "node.ledger.ledger": "OtherNetwork",
    "node.state_sync.errors": "StateSyncFailed",
    "node.content.downloads": "DownloadError",
    "chain.errors": "ChainError",
    "storage.errors": "StorageError",
    "p2p.errors": "NetworkError",
}
"""Expected failures of the layers below, by module. What was raised has its module loaded."""

_EXITS = {
    "KeyNotFound": ExitCode.NOT_FOUND,
    "WrongPassword": ExitCode.NOT_ALLOWED,
    "InvalidName": ExitCode.USAGE,
    "InvalidAddress": ExitCode.USAGE,
    "InvalidMnemonic": ExitCode.USAGE,
    "InvalidSecret": ExitCode.USAGE,
    "ValidatorMoved": ExitCode.NOT_ALLOWED,
    "NewerSignState": ExitCode.NOT_ALLOWED,
    "TrustExpired": ExitCode.NOT_PROVEN,
    "NotEnoughTrust": ExitCode.NOT_PROVEN,
    "ForgedHeader": ExitCode.NOT_PROVEN,
    "ProofFailed": ExitCode.NOT_PROVEN,
    "InvalidProof": ExitCode.NOT_PROVEN,
    "Divergence": ExitCode.DIVERGENCE,
    "DiskFailed": ExitCode.DISK_FAILED,
    "DiskFull": ExitCode.DISK_FAILED,
}


def list_expected() -> tuple[type[BaseException], ...]:
    """Every class of failure that a command may end with, of the modules in use."""
    found: list[type[BaseException]] = [CliError, OSError, UnicodeError]
    for module, name in _EXPECTED.items():
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None:
            found.append(kind)
    return tuple(found)


def explain(error: BaseException) -> CliError:
    """The error in the words of the user."""
    if isinstance(error, CliError):
        return error
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint, status = ("make room on the disk", ExitCode.DISK_FAILED) if is_full else ("", ExitCode.FAILURE)
        return CliError("system", describe_os_error(error), hint, status)
    if isinstance(error, UnicodeError):
        return CliError("not_utf8", f"text that is not UTF-8: {error}", status=ExitCode.USAGE)
    name = type(error).__name__
    code = getattr(error, "code", None) or _to_snake_case(name)
    return CliError(code, str(error) or name, status=_EXITS.get(name, ExitCode.FAILURE))


def describe_os_error(error: OSError) -> str:
    """`FILE: No such file or directory`, without the number."""
    reason = error.strerror or str(error)
    return f"{os.fsdecode(error.filename)}: {reason}" if error.filename is not None else reason


def _to_snake_case(name: str) -> str:
    """`WrongPassword` -> `wrong_password`, as the chain's errors are written."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
