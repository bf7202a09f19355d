"""Validators and hosts: state in a word, shares in percent, proofs as a row of marks."""

from collections.abc import Mapping, Sequence
from typing import Any

from cli.context.readable import Reader
from cli.terminal.cells import Cell
from cli.terminal.tables import Column
from cli.terminal.wording import format_count

VALIDATOR_COLUMNS = (
    Column("name", "validator"),
    Column("state"),
    Column("power"),
    Column("bond"),
    Column("commission_ppm", "comm"),
    Column("pay_factor", "pay"),
)
HOST_COLUMNS = (
    Column("name", "host"),
    Column("state"),
    Column("bytes", "holds"),
    Column("datums"),
    Column("pay_factor", "pay"),
    Column("is_validator", "validator"),
    Column("peer_id", "peer"),
)


def build_validators(reader: Reader, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per candidate, those that decide blocks first, the strongest first."""
    powers = {one["address"]: one["power"] for one in found["validators"]}
    total = max(found["total_power"], 1)
    candidates = sorted(
        found["candidates"], key=lambda one: (-powers.get(one["address"], 0), -one["bond"], one["address"])
    )
    return [
        {
            **reader.read(one),
            "name": reader.build_name(one["address"]),
            "state": build_candidate_state(reader, one),
            "power": _build_share(powers.get(one["address"]), total),
        }
        for one in candidates
    ]


def _build_share(power: int | None, total: int) -> Cell | None:
    """The share of all votes, to a tenth of a percent."""
    if power is None:
        return None
    tenths = power * 1000 // total
    return Cell(f"{tenths // 10}.{tenths % 10}%", is_number=True)


def build_candidate_state(reader: Reader, one: Mapping[str, Any]) -> Cell:
    """Active: decides blocks now. Waiting: stands for the next election. Chilled: stands for none."""
    word = "active" if one.get("is_validator") else "chilled" if one.get("is_chilled") else "waiting"
    return reader.build_state(one, otherwise=word)


def list_warnings(reader: Reader, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the owner of a jailed account must know and do: a line each."""
    told = []
    for one in records:
        if one.get("is_tombstoned"):
            told.append(f"{reader.build_name(one['address']).text}: out for good, for signing twice")
        elif one.get("is_jailed"):
            name = reader.build_name(one["address"]).text
            told.append(f"{name}: jailed {reader.describe_jail(one)}; its owner runs `vidya tx unjail`")
    return told


def build_hosts(reader: Reader, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per host."""
    return [
        {
            **reader.read(one),
            "name": reader.build_name(one["address"]),
            "state": Cell("JAILED", "bad") if one["is_jailed"] else Cell("hosting", "good"),
        }
        for one in records
    ]


def build_host(reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """One host: what it holds, how it proved, what is asked of it now."""
    host, possession = found["host"], found["possession"]
    datums = format_count(found["effective"]["datums"], "datum")
    held = reader.read(found["effective"]["bytes"], "bytes")
    return {
        "host": reader.build_name(found["address"]),
        "state": reader.build_state(found["standing"], otherwise="hosting"),
        "peer": host["peer_id"],
        "reached at": host["addresses"],
        "upload": reader.read(host["capacity"], "capacity"),
        "in effect": f"{datums}, {held}",
        "pay": reader.read(possession["pay_factor"], "pay_factor"),
        "proofs": reader.read(possession["window"], "window"),
        "last proven": reader.read(possession["last_proven"], "last_proven"),
        "misses": f"{possession['misses']}, {possession['misses_in_row']} in a row",
        "credits": f"{possession['credits']} (each covers a miss)",
        "asked now": [_describe_duty(reader, one) for one in found["duties"]] or "nothing",
        "holds": [
            {
                "datum": reader.read(one["datum"], "datum"),
                "size": reader.read(one["size_bytes"], "size_bytes"),
                "counts from": reader.read(one["from_epoch"], "from_epoch"),
                "until": reader.read(one["until_epoch"], "until_epoch"),
            }
            for one in found["holdings"]
        ],
    }


def _describe_duty(reader: Reader, duty: Mapping[str, Any]) -> str:
    leaves, deadline = len(duty["challenges"]), reader.read(duty["deadline"], "deadline")
    return f"{format_count(leaves, 'leaf')} for epoch {duty['epoch']} before block {deadline}"
