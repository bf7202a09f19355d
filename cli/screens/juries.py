"""Cases for people: what is asked of whom until when, and what a verdict paid to whom."""

from collections.abc import Mapping
from typing import Any

from cli.context.readable import Reader
from cli.terminal.cells import Cell
from cli.terminal.tables import Column
from cli.terminal.wording import format_count

CASE_COLUMNS = (
    Column("case"),
    Column("datum"),
    Column("challenger"),
    Column("phase"),
    Column("until"),
    Column("votes"),
    Column("you"),
)
PHASES = {"draw": "jury not drawn", "commit": "voting", "reveal": "revealing"}
ENDS = {"draw": "drawn_in", "commit": "reveals_from", "reveal": "decided_in"}
"""Phase, in their order -> field of a case with the epoch that ends it."""
VERDICTS = {True: "junk", False: "sound", None: "no majority"}


def build_cases(reader: Reader, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per open case."""
    return [
        {
            "case": one["case"],
            "datum": Cell(one["title"], full=f"{one['title']}  {one['datum']}"),
            "challenger": reader.build_name(one["challenger"]),
            "phase": PHASES[one["phase"]],
            "until": reader.describe_epoch(one[ENDS[one["phase"]]]),
            "votes": describe_votes(one),
            "you": describe_seat(one),
        }
        for one in cases
    ]


def describe_votes(case: Mapping[str, Any]) -> str:
    """How many of the jury have done what the phase asks."""
    done = {"draw": "-", "commit": f"{case['committed']} of {case['jurors']}"}
    return done.get(case["phase"], f"{case['revealed']} of {case['jurors']}")


def describe_seat(case: Mapping[str, Any]) -> Cell:
    """What is asked of whoever asks."""
    seat, is_voting = case["seat"], case["phase"] == "commit"
    if seat is None:
        return Cell("-" if case["phase"] == "draw" else "not drawn")
    if seat["is_junk"] is not None:
        return Cell(f"revealed: {VERDICTS[seat['is_junk']]}", "good")
    if seat["commitment"] is not None:
        return Cell("voted, reveal later") if is_voting else Cell("drawn: reveal now", "warning")
    return Cell("drawn: vote now", "warning") if is_voting else Cell("silent: loses bond", "bad")


def build_case(reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """An open case with its jury."""
    case = found["case"]
    times = {
        "jury drawn": reader.describe_epoch(case["drawn_in"]),
        "revealing from": reader.describe_epoch(case["reveals_from"]),
        "decided": reader.describe_epoch(case["decided_in"]),
    }
    return {
        "case": case["case"],
        "datum": case["datum"],
        "title": case["title"],
        "challenger": reader.build_name(case["challenger"]),
        "bond": reader.read(case["bond"], "bond"),
        "phase": PHASES[case["phase"]],
        **times,
        "judged by": "validators" if case["are_validators"] else "jurors",
        "sponsors": [_build_sponsor(reader, one) for one in found["sponsors"]] or "none",
        "jury": [_build_seat(reader, one) for one in found["seats"]] or "not drawn",
    }


def _build_sponsor(reader: Reader, one: Mapping[str, Any]) -> dict[str, Any]:
    return {"sponsor": reader.build_name(one["sponsor"]), "bond": reader.read(one["amount"], "bond")}


def _build_seat(reader: Reader, seat: Mapping[str, Any]) -> dict[str, Any]:
    hidden = "hidden" if seat["commitment"] else "-"
    said = hidden if seat["is_junk"] is None else VERDICTS[seat["is_junk"]]
    return {"juror": reader.build_name(seat["juror"]), "vote": said}


def build_decision(reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict, and where the money went."""
    voters = found["for_junk"] + found["against"]
    told = {
        "case": found["case"],
        "datum": reader.read(found["datum"], "datum"),
        "verdict": VERDICTS[found["is_junk"]],
        "votes": f"{found['for_junk']} junk, {found['against']} sound, {found['silent']} silent",
        "decided": reader.describe_epoch(found["decided_in"]),
        **_build_payments(reader, found, voters),
    }
    fines = [_build_loss(reader, one, "juror") for one in found["fines"]]
    withheld = [_build_loss(reader, one, "host") for one in found["withheld_burned"]]
    return {
        **told,
        "silent jurors lost": fines or "nothing",
        "hosts lost withheld pay": withheld or "nothing",
    }


def _build_payments(reader: Reader, found: Mapping[str, Any], voters: int) -> dict[str, Any]:
    if found["is_junk"] is None:
        return {"bonds": "all returned: neither side has a majority"}
    loser, winner = ("sponsors", "challenger") if found["is_junk"] else ("challenger", "sponsors")
    amounts = {name: reader.read(found[name], "bond") for name in ("forfeited", "winner", "jurors", "burned")}
    return {
        f"lost by the {loser}": amounts["forfeited"],
        f"paid to the {winner}": amounts["winner"],
        f"paid to {format_count(voters, 'juror')}": amounts["jurors"],
        "burned": amounts["burned"],
    }


def _build_loss(reader: Reader, one: Mapping[str, Any], who: str) -> dict[str, Any]:
    return {who: reader.build_name(one[who]), "burned": reader.read(one["amount"], "bond")}


def build_revealed(reader: Reader, revealed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per vote."""
    return [
        {
            "case": one["case"],
            "juror": reader.build_name(one["juror"]),
            "vote": VERDICTS[one["is_junk"]],
        }
        for one in revealed
    ]
