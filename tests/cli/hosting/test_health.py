"""What commands say of a candidate that cannot be elected for the next era."""

from typing import Any

import pytest

from cli.health.host import describe_era

ON_COURSE = {
    "asked_bytes": 1024,
    "held_bytes": 1024,
    "needed_epochs": 77,
    "proven_epochs": 70,
    "left_epochs": 7,
    "is_on_course": True,
}


@pytest.mark.parametrize(
    ("changes", "found", "next_step"),
    [
        ({}, "asked to prove 1.0 KiB", ""),
        ({"asked_bytes": 0}, "nothing is asked", ""),
        (
            {"held_bytes": 0, "is_on_course": False},
            "not eligible in the next era: proves 0 B, less than the 1.0 KiB that a validator must",
            "`vidya host add`",
        ),
        (
            {"left_epochs": 6, "is_on_course": False},
            "not eligible in the next era: proved 70 epochs of this one, 6 are left, 77 needed",
            "`vidya doctor`",
        ),
    ],
)
def test_a_candidate_is_told_before_the_election(changes: dict[str, Any], found: str, next_step: str) -> None:
    """What is missing, and the next command; nothing is wrong with one that is on course."""
    told = describe_era(ON_COURSE | changes)
    assert (told.is_ok, told.found) == (not next_step, found)
    assert told.next.startswith(next_step)
