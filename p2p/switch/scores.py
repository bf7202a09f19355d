"""Scores and bans, of peers or of groups of hosts.

A peer starts at SCORE_MAX points, gets one back a minute, and is banned at zero. A ban lasts BAN_SECONDS,
twice as long each time. The table is bounded: when it is full, the quarter with the least loss is forgotten.
Who is banned for whose faults: `bans`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Generic, NamedTuple, TypeVar

import trio

SCORE_MAX = 100
POINTS_BACK_PER_SECOND = 1 / 60
BAN_SECONDS = 600.0
BAN_DOUBLINGS_MAX = 6
BAN_SECONDS_MAX = BAN_SECONDS * 2**BAN_DOUBLINGS_MAX
ENTRIES_MAX = 4096

K = TypeVar("K")


class Ban(NamedTuple, Generic[K]):
    """A ban in force; it is the number `times` of its kind."""

    key: K
    seconds_left: float
    reason: str
    times: int


@dataclass(slots=True)
class _Standing:
    lost: float
    at: float
    bans: int = 0
    banned_until: float = 0.0
    reason: str = ""


class Scoreboard(Generic[K]):
    """Scores of those that broke a rule; all others have `score_max`."""

    def __init__(self, clock: Callable[[], float] = trio.current_time, *, score_max: int = SCORE_MAX) -> None:
        self._clock = clock
        self._score_max = score_max
        self._standings: dict[K, _Standing] = {}

    def get_score(self, key: K) -> int:
        """The points, up to `score_max`."""
        standing = self._standings.get(key)
        return self._score_max if standing is None else int(self._score_max - self._compute_lost(standing))

    def get_ban(self, key: K) -> str | None:
        """The reason of the ban; None if there is none."""
        standing = self._standings.get(key)
        return standing.reason if standing and standing.banned_until > self._clock() else None

    def get_bans(self) -> tuple[Ban[K], ...]:
        """Every ban in force."""
        now = self._clock()
        return tuple(
            Ban(key, standing.banned_until - now, standing.reason, standing.bans)
            for key, standing in self._standings.items()
            if standing.banned_until > now
        )

    def lower(self, key: K, points: int, reason: str) -> bool:
        """Takes points; returns whether none are left."""
        standing = self._get_standing(key)
        standing.lost = min(self._score_max, self._compute_lost(standing) + points)
        standing.at = self._clock()
        standing.reason = reason
        # Rounded up, as the score is shown: two faults of 50 points a second apart spend all.
        return ceil(standing.lost) >= self._score_max

    def ban(self, key: K, reason: str, seconds: float | None = None) -> None:
        """Bans; without `seconds` for twice as long as the last time. Afterwards the score is full again."""
        standing = self._get_standing(key)
        if seconds is None:
            seconds = BAN_SECONDS * 2 ** min(standing.bans, BAN_DOUBLINGS_MAX)
            standing.bans += 1
        standing.lost, standing.reason = 0.0, reason
        standing.at = standing.banned_until = self._clock() + seconds

    def restore(self, ban: Ban[K]) -> None:
        """Puts a ban of an earlier run into force again."""
        self.ban(ban.key, ban.reason, min(ban.seconds_left, BAN_SECONDS_MAX))
        self._standings[ban.key].bans = ban.times

    def _get_standing(self, key: K) -> _Standing:
        if key not in self._standings:
            if len(self._standings) >= ENTRIES_MAX:
                for lightest in sorted(self._standings, key=self._compute_weight)[: ENTRIES_MAX // 4]:
                    del self._standings[lightest]
            self._standings[key] = _Standing(lost=0.0, at=self._clock())
        return self._standings[key]

    def _compute_lost(self, standing: _Standing) -> float:
        passed = max(0.0, self._clock() - standing.at)
        return max(0.0, standing.lost - passed * POINTS_BACK_PER_SECOND)

    def _compute_weight(self, key: K) -> tuple[float, float]:
        standing = self._standings[key]
        return max(0.0, standing.banned_until - self._clock()), self._compute_lost(standing)
