"""What happens to nodes in a chaos run: kills, kills at a crash point, pauses, restarts; and their way back.

Each node has a thread that does to it what it is told, one thing after the other, brings it back, and
measures until it is at the head that the network had when its process started. The network may stand
meanwhile, if too many are down: nobody waits for blocks here.
"""

import random
import signal
import subprocess
import time
from collections.abc import Sequence
from enum import StrEnum
from itertools import cycle, islice
from queue import Queue
from threading import Thread
from typing import NamedTuple

import httpx

from storage.crash_points import CrashPoint
from tests.e2e.audit.signatures import Audit
from tests.e2e.harness import Node, wait_for

ANSWER_SECONDS_MAX = 2.0
BACK_SECONDS_MAX = 180.0
POINT_SECONDS_MAX = 60.0
"""So long a node may take to reach the point at which it is to die."""
PAUSE_SECONDS = (0.5, 8.0)
DOWN_SECONDS = (0.0, 3.0)
REACHES = (1, 12)


class Kind(StrEnum):
    """What is done to a node."""

    KILL = "kill"
    POINT = "point"
    PAUSE = "pause"
    STOP = "stop"


KILLS = {Kind.KILL: 1, Kind.POINT: 2, Kind.PAUSE: 0, Kind.STOP: 0}
"""A node is killed before it is started with a crash point."""


class Blow(NamedTuple):
    """One entry of the plan; `place` is a crash point and how often it is passed."""

    at_seconds: float
    kind: Kind
    victims: tuple[int, ...]
    seconds: float
    place: str = ""

    def __str__(self) -> str:
        nodes = ",".join(map(str, self.victims))
        return f"{self.at_seconds:6.1f} s  {self.kind:5}  nodes {nodes:8} {self.seconds:4.1f} s  {self.place}"


class Return(NamedTuple):
    """How a node came back: from the start of its process to its API's first answer, and to the head."""

    node: str
    after: str
    answer_seconds: float
    head_seconds: float
    blocks_behind: int


def build_plan(chance: random.Random, nodes: int, seconds: float, kills: int) -> list[Blow]:
    """Exactly so many kills: half for crash points, in turn; a few of all nodes at once, or of two."""
    at_points = kills // 4
    of_all = max(1, kills // 25)
    of_two = kills // 16
    of_one = kills - 2 * at_points - nodes * of_all - 2 * of_two
    assert of_one >= 0, kills
    counts = [(Kind.KILL, nodes, of_all), (Kind.KILL, 2, of_two), (Kind.KILL, 1, of_one)]
    counts += [(Kind.PAUSE, 1, max(1, kills // 10)), (Kind.STOP, 1, max(1, kills // 20))]
    drawn = [(kind, size, "") for kind, size, count in counts for _ in range(count)]
    points = islice(cycle(chance.sample(list(CrashPoint), len(CrashPoint))), at_points)
    drawn += [(Kind.POINT, 1, f"{point}:{chance.randint(*REACHES)}") for point in points]
    chance.shuffle(drawn)
    step = seconds / len(drawn)
    return [
        _draw_blow(chance, (number + chance.random()) * step, nodes, *one) for number, one in enumerate(drawn)
    ]


def _draw_blow(
    chance: random.Random, at_seconds: float, nodes: int, kind: Kind, size: int, place: str
) -> Blow:
    limits = PAUSE_SECONDS if kind is Kind.PAUSE else DOWN_SECONDS
    return Blow(at_seconds, kind, tuple(chance.sample(range(nodes), size)), chance.uniform(*limits), place)


def count_kills(plan: Sequence[Blow]) -> int:
    """What the plan amounts to."""
    return sum(KILLS[blow.kind] * len(blow.victims) for blow in plan)


class Victim:
    """A node and the thread that deals with it; `heads` is shared: the highest head that any was seen at."""

    def __init__(self, node: Node, left: Audit, kept: Audit, heads: dict[str, int]) -> None:
        self.node = node
        self.returns: list[Return] = []
        self.reached: list[str] = []
        """Crash points at which it died."""
        self.missed: list[str] = []
        self.kills = 0
        self._left, self._kept, self._heads = left, kept, heads
        self._client = httpx.Client(timeout=ANSWER_SECONDS_MAX)
        self._orders: Queue[Blow | None] = Queue()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether it has come back from all that was ordered."""
        return self._orders.unfinished_tasks == 0

    def order(self, blow: Blow) -> None:
        """The next blow to the node, once it has recovered from the last."""
        self._orders.put(blow)

    def finish(self) -> None:
        """Returns when all has happened; raises what went wrong."""
        self._orders.put(None)
        self._thread.join()
        self._client.close()
        if self._failure is not None:
            raise self._failure

    def check(self) -> None:
        """Raises what went wrong so far."""
        if self._failure is not None:
            raise self._failure

    def look(self) -> int | None:
        """The height of its head, if it answers."""
        try:
            answer = self._client.get(f"{self.node.url}/v1/status")
        except httpx.TransportError:
            return None
        if answer.status_code != httpx.codes.OK:
            return None
        height = int(answer.json()["height"])
        self._heads[self.node.name] = height
        return height

    def _run(self) -> None:
        try:
            while (blow := self._orders.get()) is not None:
                self._strike(blow)
                self._orders.task_done()
        except BaseException as error:
            self._failure = error
            raise

    def _strike(self, blow: Blow) -> None:
        self.look()
        if blow.kind is Kind.PAUSE:
            self._pause(blow)
            return
        self.node.end(signal.SIGTERM if blow.kind is Kind.STOP else signal.SIGKILL)
        self.kills += blow.kind is not Kind.STOP
        self._read_signatures()
        time.sleep(blow.seconds)
        if blow.kind is Kind.POINT:
            self._die_at(blow.place)
        self._come_back(f"{blow.kind} {blow.place}".strip())

    def _pause(self, blow: Blow) -> None:
        self.node.send_signal(signal.SIGSTOP)
        time.sleep(blow.seconds)
        started, target = time.monotonic(), max(self._heads.values())
        self.node.send_signal(signal.SIGCONT)
        self._wait_for_head("pause", started, target)

    def _die_at(self, place: str) -> None:
        """Starts it so that it dies there; if it does not get there, it is killed where it is."""
        process = self.node.launch(VIDYA_CRASH_AT=place)
        try:
            status = process.wait(POINT_SECONDS_MAX)
            assert status == -signal.SIGKILL, f"{self.node} ended with {status}\n{self.node.read_log()}"
            self.reached.append(place.partition(":")[0])
        except subprocess.TimeoutExpired:
            self.missed.append(place)
            process.kill()
            process.wait()
        self.kills += 1
        self._read_signatures()

    def _read_signatures(self) -> None:
        """What the dead have signed: the last of it may never have left the node."""
        self._kept.read_sign_state(self.node)
        self._left.read_log(self.node)

    def _come_back(self, after: str) -> None:
        started, target = time.monotonic(), max(self._heads.values())
        self.node.launch()
        self._wait_for_head(after, started, target)

    def _wait_for_head(self, after: str, started: float, target: int) -> None:
        height = wait_for(f"{self.node} after {after}", self._look_alive, BACK_SECONDS_MAX)
        answered = time.monotonic()
        wait_for(
            f"{self.node} at {target} after {after}", lambda: (self.look() or 0) >= target, BACK_SECONDS_MAX
        )
        seconds = answered - started, time.monotonic() - started
        self.returns.append(Return(self.node.name, after, *seconds, max(0, target - height)))

    def _look_alive(self) -> int | None:
        """The height, as soon as it answers; fails at once if its process has ended."""
        height = self.look()
        is_alive = height is not None or self.node.pid is not None
        assert is_alive, f"{self.node} ended with {self.node.exit_status}\n{self.node.read_log()}"
        return height
