"""Scores and bans of peers.

A peer starts at SCORE_MAX points, gets one back a minute, and is banned at zero. A ban lasts BAN_SECONDS,
twice as long each time. The table is bounded: when it is full, the quarter with the least loss is forgotten.

Identities are free, so bans stop only mistakes and laziness; against many identities there are the counts per
host (`network.Limits`). A trusted peer loses points like others but is never banned for them: an attacker
that could make us ban validators could split the network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from chain.primitives.types import PeerId
from p2p.network import BanInfo

SCORE_MAX = 100
POINTS_BACK_PER_SECOND = 1 / 60
BAN_SECONDS = 600.0
BAN_DOUBLINGS_MAX = 6
PEERS_MAX = 4096


@dataclass(slots=True)
class _Standing:
    lost: float
    at: float
    bans: int = 0
    banned_until: float = 0.0
    reason: str = ""


class Scoreboard:
    """Scores of the peers that broke a rule; all others have SCORE_MAX."""

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._standings: dict[PeerId, _Standing] = {}

    def get_score(self, peer: PeerId) -> int:
        """The peer's points, up to SCORE_MAX."""
        standing = self._standings.get(peer)
        return SCORE_MAX if standing is None else int(SCORE_MAX - self._compute_lost(standing))

    def get_ban(self, peer: PeerId) -> str | None:
        """The reason of the peer's ban; None if it is not banned."""
        standing = self._standings.get(peer)
        return standing.reason if standing and standing.banned_until > self._clock() else None

    def get_bans(self) -> tuple[BanInfo, ...]:
        """Every ban in force."""
        now = self._clock()
        return tuple(
            BanInfo(peer, standing.banned_until - now, standing.reason)
            for peer, standing in self._standings.items()
            if standing.banned_until > now
        )

    def lower(self, peer: PeerId, points: int, reason: str) -> bool:
        """Takes points; returns whether none are left."""
        standing = self._get_standing(peer)
        standing.lost = min(SCORE_MAX, self._compute_lost(standing) + points)
        standing.at = self._clock()
        standing.reason = reason
        return standing.lost >= SCORE_MAX

    def ban(self, peer: PeerId, reason: str, seconds: float | None = None) -> None:
        """Bans the peer; without `seconds` for twice as long as the last time. Afterwards its score is
        full again.
        """
        standing = self._get_standing(peer)
        if seconds is None:
            seconds = BAN_SECONDS * 2 ** min(standing.bans, BAN_DOUBLINGS_MAX)
            standing.bans += 1
        standing.lost, standing.reason = 0.0, reason
        standing.at = standing.banned_until = self._clock() + seconds

    def _get_standing(self, peer: PeerId) -> _Standing:
        if peer not in self._standings:
            if len(self._standings) >= PEERS_MAX:
                for lightest in sorted(self._standings, key=self._compute_weight)[: PEERS_MAX // 4]:
                    del self._standings[lightest]
            self._standings[peer] = _Standing(lost=0.0, at=self._clock())
        return self._standings[peer]

    def _compute_lost(self, standing: _Standing) -> float:
        passed = max(0.0, self._clock() - standing.at)
        return max(0.0, standing.lost - passed * POINTS_BACK_PER_SECOND)

    def _compute_weight(self, peer: PeerId) -> tuple[float, float]:
        standing = self._standings[peer]
        return max(0.0, standing.banned_until - self._clock()), self._compute_lost(standing)
