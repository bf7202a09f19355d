"""An account: what it has, what is bound and until when, what it is in the collective."""

from collections.abc import Mapping
from typing import Any

from cli.context.readable import Reader


def build_account(reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """What is there; parts that are empty are left out."""
    bond = found["bond"]
    told: dict[str, Any] = {
        "account": reader.build_name(found["address"]),
        "balance": reader.read(found["balance"], "balance"),
        "bonded": reader.read(bond["active"], "bond") if bond["active"] else None,
        "pledged": _describe_pledge(reader, bond),
        "withheld": reader.read(found["withheld"], "withheld") if found["withheld"] else None,
        "delegated to it": reader.read(found["delegated_to"], "bond") if found["delegated_to"] else None,
        "member": describe_membership(reader, found["membership"]),
        "state": reader.build_state(found["standing"]) if is_standing_told(found["standing"]) else None,
        **_describe_traffic(reader, found["traffic"]),
        "transactions": found["nonce"],
        "waiting": found["nonce_next"] - found["nonce"] or None,
        "unbonding": reader.read(bond["unlocking"]) or None,
        "delegations": reader.read(found["delegations"]) or None,
    }
    return {label: value for label, value in told.items() if value is not None}


def is_standing_told(standing: Mapping[str, Any]) -> bool:
    """Whether there is something to say of jail."""
    return bool(standing.get("is_jailed") or standing.get("is_tombstoned"))


def _describe_pledge(reader: Reader, bond: Mapping[str, Any]) -> str | None:
    if not bond.get("committed"):
        return None
    return f"{reader.read(bond['committed'], 'bond')} of the bond, for what it hosts"


def describe_membership(reader: Reader, membership: Mapping[str, Any] | None) -> str:
    """Since when, and what is locked until when."""
    if membership is None:
        return "no; `vidya tx join-collective` passes the gate"
    locked = reader.read(membership["locked"], "locked")
    if membership.get("unlocks_in") is not None:
        return f"left; {locked} free in era {reader.read(membership['unlocks_in'], 'unlocks_in')}"
    return f"since era {reader.read(membership['since_era'], 'since_era')}, {locked} locked"


def _describe_traffic(reader: Reader, traffic: Mapping[str, Any]) -> dict[str, Any]:
    """Sales and purchases, if there were any."""
    told = {}
    if traffic.get("bytes_served"):
        served, income = (
            reader.read(traffic["bytes_served"], "bytes"),
            reader.read(traffic["income"], "income"),
        )
        told["sold"] = f"{served} for {income}"
    if traffic.get("bytes_downloaded"):
        size = reader.read(traffic["bytes_downloaded"], "bytes")
        told["bought"] = f"{size} for {reader.read(traffic['spent'], 'spent')}"
    return told
