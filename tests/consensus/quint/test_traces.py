"""Our core does what malachite's Quint specification of Tendermint does, trace by trace (see `traces`)."""

from pathlib import Path

import pytest

from tests.consensus.quint.deviations import DEVIATIONS
from tests.consensus.quint.trace_parts import replay_rules, replay_votes
from tests.consensus.quint.traces import FOLDER, TraceMismatch, get_paths, replay

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no traces in ../shared/vectors/tendermint")

RULES = get_paths("consensusTest")
TALLY = get_paths("votekeeperTest")
WHOLE = [path for path in get_paths() if path not in (*RULES, *TALLY)]


def test_every_trace_is_replayed() -> None:
    """All 32 files belong to one of the three kinds, so that none is passed over silently."""
    assert len(get_paths()) == 32
    assert (len(WHOLE), len(RULES), len(TALLY)) == (20, 2, 10)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_validators_follow_the_specification(path: Path) -> None:
    """Each validator of a trace gives the specification's outputs and reaches its states."""
    assert replay(path) > 0


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_follow_the_specification(path: Path) -> None:
    """Each rule's condition leads to the specification's output and state."""
    assert replay_rules(path) > 0


@pytest.mark.parametrize("path", TALLY, ids=lambda path: path.stem)
def test_tally_follows_the_specification(path: Path) -> None:
    """Each vote leads to the specification's threshold and powers."""
    assert replay_votes(path) > 0


@pytest.mark.parametrize("key", DEVIATIONS, ids=str)
def test_listed_deviations_are_real(key: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its entry each listed deviation is a mismatch: the list holds no more than needed."""
    monkeypatch.delitem(DEVIATIONS, key)
    (path,) = (path for path in WHOLE if path.stem.endswith(f"-{key[0]}"))
    with pytest.raises(TraceMismatch, match=f"step {key[1]}"):
        replay(path)
