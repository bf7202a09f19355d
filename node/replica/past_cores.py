"""The cores of the last heights: they count late votes, and find equivocations that are shown late."""

from collections.abc import Iterator

from chain.primitives.types import Height
from consensus.core import Core
from consensus.types import Step

LATE_HEIGHTS_MAX = 8
"""Votes and proposals that come more heights late are dropped, and show no equivocation here."""


class PastCores:
    """At most LATE_HEIGHTS_MAX cores, of heights that were decided here."""

    def __init__(self) -> None:
        self._cores: dict[Height, Core] = {}

    def __iter__(self) -> Iterator[Height]:
        return iter(self._cores)

    def get(self, height: Height) -> Core | None:
        """The core of a height, if it is kept."""
        return self._cores.get(height)

    def replace(self, last: Core, next_height: Height) -> None:
        """The core of `next_height` replaces `last`, which is kept if it has decided."""
        if last.step is Step.DECIDED:
            self._cores[last.height] = last
        for height in [height for height in self._cores if height < next_height - LATE_HEIGHTS_MAX]:
            del self._cores[height]
