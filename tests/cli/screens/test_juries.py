"""Screens of cases and of a datum's admission: what is asked of whom, at a narrow and a wide terminal."""

from typing import Any

import pytest

from cli.screens.datums import describe_admission
from cli.screens.juries import CASE_COLUMNS, build_case, build_cases, build_decision
from cli.terminal.style import render
from cli.terminal.tables import FoldingTable, build_details
from tests.cli.screens.screens import Screens

WHO = "vdev1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0sm0cfm7"
WIDTHS = (60, 100)
SEATS = {
    "not drawn": ("commit", None),
    "drawn: vote now": ("commit", {"commitment": None, "is_junk": None}),
    "voted, reveal later": ("commit", {"commitment": "ab" * 32, "is_junk": None}),
    "drawn: reveal now": ("reveal", {"commitment": "ab" * 32, "is_junk": None}),
    "silent: loses bond": ("reveal", {"commitment": None, "is_junk": None}),
    "revealed: sound": ("reveal", {"commitment": "ab" * 32, "is_junk": False}),
}


def build_open(phase: str, seat: Any) -> dict[str, Any]:
    """A case as the API answers."""
    return {
        "case": 7,
        "datum": "cd" * 32,
        "title": "Noise",
        "challenger": WHO,
        "bond": 50 * 10**9,
        "drawn_in": 12,
        "is_drawn": phase != "draw",
        "are_validators": False,
        "phase": phase,
        "reveals_from": 16,
        "decided_in": 20,
        "jurors": 15,
        "committed": 9,
        "revealed": 2,
        "seat": seat,
    }


@pytest.mark.parametrize("width", WIDTHS)
def test_each_seat_says_what_to_do(width: int) -> None:
    """Every state of a seat has its words, with the votes so far and the end of the phase."""
    cases = [build_open(phase, seat) for phase, seat in SEATS.values()]
    shown = " ".join(render(FoldingTable(build_cases(Screens().reader, cases), CASE_COLUMNS), width).split())
    for words in (*SEATS, "9 of 15", "2 of 15", "epoch 16 (", "epoch 20 (", "Noise"):
        assert words in shown


@pytest.mark.parametrize("width", WIDTHS)
def test_a_case_shows_times_jury_and_sponsors(width: int) -> None:
    """A hidden vote is shown as hidden."""
    seats = [
        {"juror": WHO, "commitment": "ab" * 32, "is_junk": None},
        {"juror": WHO[:-1] + "8", "commitment": "ab" * 32, "is_junk": True},
    ]
    sponsors = [{"sponsor": WHO, "amount": 50 * 10**9, "unlocks_in": None}]
    found = {"case": build_open("reveal", None), "seats": seats, "sponsors": sponsors}
    shown = " ".join(render(build_details(build_case(Screens().reader, found)), width).split())
    for words in (
        "revealing from epoch 16",
        "decided epoch 20",
        "judged by jurors",
        "hidden",
        "junk",
        "50 VIDYA",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("is_junk", "words"),
    [
        (True, ("verdict junk", "lost by the sponsors", "paid to the challenger", "paid to 10 jurors")),
        (False, ("verdict sound", "lost by the challenger", "paid to the sponsors")),
        (None, ("verdict no majority", "all returned: neither side has a majority")),
    ],
)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_verdict_shows_where_the_money_went(
    width: int, is_junk: bool | None, words: tuple[str, ...]
) -> None:
    """Winner, jurors, burned, fines and withheld pay; for each verdict."""
    found = {
        "case": 7, "datum": "cd" * 32, "is_junk": is_junk, "for_junk": 6, "against": 4, "silent": 1,
        "forfeited": 10**9, "winner": 4 * 10**8, "jurors": 10**8, "burned": 5 * 10**8, "decided_in": 20,
        "fines": [{"case": 7, "juror": WHO, "amount": 10**9}], "withheld_burned": [],
    }  # fmt: skip
    shown = " ".join(render(build_details(build_decision(Screens().reader, found)), width).split())
    for text in (*words, "6 junk, 4 sound, 1 silent", "silent jurors", "hosts lost withheld pay nothing"):
        assert text in shown


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"is_due": False, "needed": None}, ("era 9 (", "bonds of sponsors: 0.25 VIDYA of 1 VIDYA")),
        ({"is_due": True, "needed": None}, ("bonds of sponsors: 0.25 VIDYA of 1 VIDYA",)),
        ({"is_due": False, "needed": 10**9, "sponsored": 10**9}, ("era 9 (",)),
        ({"is_due": True, "needed": 10**9, "sponsored": 10**9}, ("the end of this epoch",)),
    ],
)
def test_a_datum_says_what_its_admission_waits_for(changes: dict[str, Any], missing: tuple[str, ...]) -> None:
    """Its unpaid eras, its sponsors, or both."""
    datum = {"is_junk": False, "case": None, "earns_from": 9, "sponsored": 0, "fresh": 25 * 10**7, **changes}
    found = {"datum": datum, "is_admitted": False, "required": 10**9, "sponsorships": []}
    told = describe_admission(Screens().reader, found)
    for text in missing:
        assert text in told["missing"]
    assert describe_admission(Screens().reader, {**found, "is_admitted": True})["missing"] is None
    junk = describe_admission(Screens().reader, {**found, "datum": {**datum, "is_junk": True}})
    assert junk["missing"] is None and "junk" in junk["admitted"]
