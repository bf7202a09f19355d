"""Exit codes of `vidya`, fixed: scripts branch on them (docs/guide/wallet.md lists them).

Which one an error gets follows from its `code`, the string that CLI, API and docs share.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_SYNCED = 4
    INSUFFICIENT_FUNDS = 5
    REJECTED = 6
    OUTCOME_UNKNOWN = 7
    NOT_FOUND = 8
    NOT_ALLOWED = 9
    NOT_PROVEN = 10
    DIVERGENCE = 11
    DISK_FAILED = 12


_BY_CODE = {
    "unreachable": ExitCode.UNREACHABLE,
    "not_synced": ExitCode.NOT_SYNCED,
    "insufficient_balance": ExitCode.INSUFFICIENT_FUNDS,
    "balances.insufficient_balance": ExitCode.INSUFFICIENT_FUNDS,
    "staking.not_bonded": ExitCode.INSUFFICIENT_FUNDS,
    "staking.insufficient_bond": ExitCode.INSUFFICIENT_FUNDS,
    "hosting.uncovered_bytes": ExitCode.INSUFFICIENT_FUNDS,
    "validators.bond_too_small": ExitCode.INSUFFICIENT_FUNDS,
    "timed_out": ExitCode.OUTCOME_UNKNOWN,
    "not_found": ExitCode.NOT_FOUND,
    "sessions.no_such_session": ExitCode.NOT_FOUND,
    "catalogue.not_listed": ExitCode.NOT_FOUND,
    "unauthorized": ExitCode.NOT_ALLOWED,
    "forbidden": ExitCode.NOT_ALLOWED,
    "sessions.not_member": ExitCode.NOT_ALLOWED,
    "sessions.not_payer": ExitCode.NOT_ALLOWED,
    "membership.not_member": ExitCode.NOT_ALLOWED,
    "catalogue.not_lister": ExitCode.NOT_ALLOWED,
}


def get_exit(code: str, default: ExitCode = ExitCode.REJECTED) -> ExitCode:
    """The exit code of an error that the network or a node named."""
    return _BY_CODE.get(code, default)
