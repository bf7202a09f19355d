"""What an account has registered to host."""

from collections.abc import Sequence
from typing import Any

from chain.modules.hosting import RegisterSubset
from cli.content.catalogue import get_if_there
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.errors import RequestRefused
from cli.transactions.sending import list_events, send

SUBSET_CHANGES_MAX = 256
PAGE = 500


def list_holdings(network: NetworkContext, account: bytes) -> dict[str, dict[str, Any]]:
    """What an account has registered, by datum; raises RequestRefused if it is no host."""
    path = f"/v1/hosts/{network.address(account)}"
    if get_if_there(network, path, limit=1) is None:
        raise RequestRefused("hosting.not_host", f"{network.address(account)} is no host")
    return {holding["datum"]: holding for holding in network.list_pages(path, "holdings", limit=PAGE)}


def ensure_registered(network: NetworkContext, account: WalletAccount, datums: Sequence[bytes]) -> int | None:
    """Registers what the account does not host yet; the epoch from which on it counts, None if it did."""
    held = list_holdings(network, account.address)
    missing = [datum for datum in datums if datum.hex() not in held]
    from_epoch = None
    for start in range(0, len(missing), SUBSET_CHANGES_MAX):
        outcome = send(
            network, account, [RegisterSubset(tuple(missing[start : start + SUBSET_CHANGES_MAX]), ())]
        )
        from_epoch = int(list_events(outcome, "hosting.HoldingRegistered")[0]["from_epoch"])
    return from_epoch
