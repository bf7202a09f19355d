"""Bounded memory of those who were heard of last: peers, hosts, and what is kept for each."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class RecentTable(Generic[K, V]):
    """One entry per key, made when it is first asked for; beyond `entries_max` the oldest is forgotten."""

    def __init__(self, build: Callable[[], V], entries_max: int) -> None:
        self._build = build
        self._entries_max = entries_max
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V:
        """The entry, which is the newest from now on."""
        entry = self._entries.pop(key) if key in self._entries else self._build()
        self._entries[key] = entry
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)
        return entry
