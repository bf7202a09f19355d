"""The bounded memory of those who were heard of last."""

from p2p.recent import RecentTable


def test_an_entry_is_made_once_and_kept() -> None:
    """The same key finds what was kept for it."""
    table = RecentTable[str, list[int]](list, entries_max=2)
    table.get("a").append(1)
    assert table.get("a") == [1]
    assert table.get("b") == []


def test_the_one_asked_for_longest_ago_is_forgotten() -> None:
    """Beyond the bound a new key costs the oldest its entry; to be asked for makes an entry new."""
    table = RecentTable[str, list[int]](list, entries_max=2)
    for key in ("a", "b", "a"):
        table.get(key).append(1)
    table.get("c")
    assert table.get("a") == [1, 1]
    assert table.get("b") == []
