"""Exit codes of `vidya`, fixed: scripts branch on them (docs/guide/wallet.md lists them).

Which one an error gets follows from its `code`, the string that CLI, API and docs share.
"""

from enum import IntEnum


class Exit(IntEnum):
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
    "unreachable": Exit.UNREACHABLE,
    "not_synced": Exit.NOT_SYNCED,
    "insufficient_balance": Exit.INSUFFICIENT_FUNDS,
    "balances.insufficient_balance": Exit.INSUFFICIENT_FUNDS,
    "staking.not_bonded": Exit.INSUFFICIENT_FUNDS,
    "staking.insufficient_bond": Exit.INSUFFICIENT_FUNDS,
    "hosting.uncovered_bytes": Exit.INSUFFICIENT_FUNDS,
    "validators.bond_too_small": Exit.INSUFFICIENT_FUNDS,
    "timed_out": Exit.OUTCOME_UNKNOWN,
    "not_found": Exit.NOT_FOUND,
    "sessions.no_such_session": Exit.NOT_FOUND,
    "catalogue.not_listed": Exit.NOT_FOUND,
    "unauthorized": Exit.NOT_ALLOWED,
    "forbidden": Exit.NOT_ALLOWED,
    "sessions.not_member": Exit.NOT_ALLOWED,
    "sessions.not_payer": Exit.NOT_ALLOWED,
    "membership.not_member": Exit.NOT_ALLOWED,
    "catalogue.not_lister": Exit.NOT_ALLOWED,
}


def get_exit(code: str, default: Exit = Exit.REJECTED) -> Exit:
    """The exit code of an error that the network or a node named."""
    return _BY_CODE.get(code, default)
