"""What the chain does to a node's account is in the node's log."""

import pytest
from structlog.testing import capture_logs

from chain.modules import offences
from chain.modules.possession.types import Missed
from chain.modules.staking.types import Jailed, Tombstoned, Unjailed
from chain.primitives.codec import Record
from chain.runtime import encode_event
from node.duties.punishments import Punishments

OWN, OTHER = b"\x01" * 32, b"\x02" * 32


def build_events(who: bytes) -> list[tuple[Record, str]]:
    """Every kind of punishment, and how loud it is."""
    return [
        (Missed(who, 7, False, 0, 1, 0), "warning"),
        (Jailed(who, 9), "error"),
        (Tombstoned(who), "error"),
        (offences.MissesPunished(who, 2, 4, 0, 1000, 9), "error"),
        (offences.WentOffline(who, 9), "error"),
    ]


@pytest.mark.parametrize("number", range(5))
def test_a_punishment_is_said_with_what_to_do(number: int) -> None:
    """Under its name, at its height, with the next command; jail and slashes as errors."""
    event, level = build_events(OWN)[number]
    with capture_logs() as logs:
        Punishments(OWN).look_at(encode_event(event), 40)
    (told,) = logs
    assert (told["log_level"], told["height"]) == (level, 40)
    assert told["event"].endswith(type(event).__name__) and told["next"].startswith("vidya ")


def test_what_happens_to_others_is_not_said() -> None:
    """Neither about another account, nor on a node without one, nor of events that are no punishment."""
    with capture_logs() as logs:
        for event, _ in build_events(OTHER):
            Punishments(OWN).look_at(encode_event(event), 40)
        Punishments(OWN).look_at(encode_event(Unjailed(OWN)), 40)
    assert logs == []
