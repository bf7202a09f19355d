"""The notifier: which tasks a notification wakes."""

import trio
import trio.testing

from p2p.notifier import Notifier


async def test_all_who_wait_are_woken_once() -> None:
    """A notification wakes every waiting task; a later wait needs another one."""
    notifier, woken = Notifier(), []

    async def wait(name: str) -> None:
        await notifier.wait()
        woken.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "a")
        nursery.start_soon(wait, "b")
        await trio.testing.wait_all_tasks_blocked()
        notifier.notify_all()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(woken) == ["a", "b"]
        nursery.start_soon(wait, "c")
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(woken) == ["a", "b"]
        notifier.notify_all()
    assert sorted(woken) == ["a", "b", "c"]


async def test_what_is_notified_before_the_wait_is_seen_through_next() -> None:
    """A task that must await something between looking and waiting misses nothing."""
    notifier = Notifier()
    changed = notifier.next
    notifier.notify_all()
    with trio.fail_after(1):
        await changed.wait()
    assert not notifier.next.is_set()
