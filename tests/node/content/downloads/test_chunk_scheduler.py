"""The chunk scheduler: rarest first, nothing forgotten, the last chunks from several hosts."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.content.downloads.chunk_scheduler import COPIES_MAX, ChunkScheduler

ALL = 0b1111


def test_the_rarest_chunk_is_asked_first() -> None:
    """Of chunks that one, two and three hosts offer, the one with one host comes first, then by number."""
    scheduler: ChunkScheduler[str] = ChunkScheduler(4, 0)
    scheduler.join("a", 0b1111)
    scheduler.join("b", 0b1011)
    scheduler.join("c", 0b0011)
    assert [scheduler.pick("a") for _ in range(4)] == [2, 3, 0, 1]


def test_what_is_held_is_never_asked() -> None:
    """A resumed download asks for the rest alone."""
    scheduler: ChunkScheduler[str] = ChunkScheduler(4, 0b0110)
    scheduler.join("a", ALL)
    assert [scheduler.pick("a") for _ in range(3)] == [0, 3, None]
    assert scheduler.missing_count == 2


def test_two_hosts_share_the_work() -> None:
    """No chunk is asked of two hosts while another is not asked at all."""
    scheduler: ChunkScheduler[str] = ChunkScheduler(4, 0)
    scheduler.join("a", ALL)
    scheduler.join("b", ALL)
    assert sorted(scheduler.pick(host) or 0 for host in "abab") == [0, 1, 2, 3]


def test_a_host_that_leaves_gives_its_work_back() -> None:
    """Its chunks are asked of the next host."""
    scheduler: ChunkScheduler[str] = ChunkScheduler(2, 0)
    scheduler.join("a", 0b11)
    scheduler.pick("a")
    scheduler.leave("a")
    scheduler.join("b", 0b11)
    assert [scheduler.pick("b"), scheduler.pick("b")] == [0, 1]


def test_the_last_chunks_are_taken_over_from_who_has_most_work() -> None:
    """An idle host takes over the last chunk of the busiest host, one at a time; at most two hosts get
    one.
    """
    scheduler: ChunkScheduler[str] = ChunkScheduler(4, 0)
    for host in "abc":
        scheduler.join(host, ALL)
    assert [scheduler.pick("a") for _ in range(4)] == [0, 1, 2, 3]
    assert scheduler.is_endgame
    assert (scheduler.pick("b"), scheduler.pick("b")) == (3, None)
    assert scheduler.pick("c") == 2
    assert scheduler.arrive("b", 3)
    assert scheduler.list_stale("a") == [2, 3], "one that c took over, one that b delivered"


def test_little_work_is_left_where_it_is() -> None:
    """A host with fewer chunks under way than `work_min` will deliver them soon."""
    scheduler: ChunkScheduler[str] = ChunkScheduler(2, 0)
    scheduler.join("a", 0b11)
    scheduler.join("b", 0b11)
    assert [scheduler.pick("a"), scheduler.pick("a")] == [0, 1]
    assert scheduler.pick("b", work_min=3) is None
    assert scheduler.pick("b", work_min=1) == 1


def test_a_chunk_that_comes_twice_counts_once() -> None:
    """The second arrival is not reported as missing."""
    scheduler: ChunkScheduler[str] = ChunkScheduler(3, 0)
    scheduler.join("a", 0b111)
    scheduler.join("b", 0b111)
    assert [scheduler.pick("a") for _ in range(3)] == [0, 1, 2]
    assert scheduler.pick("b") == 2
    assert [scheduler.arrive("b", 2), scheduler.arrive("a", 2)] == [True, False]


def test_a_withdrawn_chunk_is_asked_of_others_only() -> None:
    """A host that does not have a chunk is not asked for it again."""
    scheduler: ChunkScheduler[str] = ChunkScheduler(1, 0)
    scheduler.join("a", 1)
    scheduler.join("b", 1)
    assert scheduler.pick("a") == 0
    scheduler.withdraw("a", 0)
    assert (scheduler.pick("a"), scheduler.pick("b")) == (None, 0)
    assert not scheduler.is_useful("a")


@given(st.lists(st.integers(0, 2**20 - 1), min_size=1, max_size=6))
def test_the_counter_agrees_with_counting(offers: list[int]) -> None:
    """No chunk that the first host offers has fewer hosts than the picked one."""
    scheduler: ChunkScheduler[int] = ChunkScheduler(20, 0)
    for host, offer in enumerate(offers):
        scheduler.join(host, offer)
    counts = {
        chunk: sum(offer >> chunk & 1 for offer in offers) for chunk in range(20) if offers[0] >> chunk & 1
    }
    picked = scheduler.pick(0)
    assert picked == min(counts, key=lambda chunk: (counts[chunk], chunk), default=None)


CHUNKS, HOSTS = 12, 4


class SchedulerMachine(RuleBasedStateMachine):
    """Any order of joins, leaves, picks, arrivals, refusals and postponements, beside a plain model."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler: ChunkScheduler[int] = ChunkScheduler(CHUNKS, 0)
        self.work: dict[int, list[int]] = {}
        self.missing = set(range(CHUNKS))
        self.offers: dict[int, set[int]] = {}
        self.postponed: dict[int, set[int]] = {}

    @rule(host=st.integers(0, HOSTS - 1), offer=st.integers(0, 2**CHUNKS - 1))
    def join_or_leave(self, host: int, offer: int) -> None:
        if host in self.work:
            self.scheduler.leave(host)
            del self.work[host]
        else:
            self.scheduler.join(host, offer)
            self.work[host], self.postponed[host] = [], set()
            self.offers[host] = {chunk for chunk in range(CHUNKS) if offer >> chunk & 1}

    @rule(host=st.integers(0, HOSTS - 1), chunk=st.none() | st.integers(0, CHUNKS - 1), is_over=st.booleans())
    def postpone_or_resume(self, host: int, chunk: int | None, is_over: bool) -> None:
        if host not in self.work:
            return
        chunks = set(range(CHUNKS)) if chunk is None else {chunk}
        (self.scheduler.resume if is_over else self.scheduler.postpone)(host, chunk)
        self.postponed[host] = self.postponed[host] - chunks if is_over else self.postponed[host] | chunks
        assert all(self.scheduler.is_postponed(host, one) != is_over for one in chunks)

    @rule(host=st.integers(0, HOSTS - 1))
    def pick(self, host: int) -> None:
        if host not in self.work:
            return
        chunk = self.scheduler.pick(host)
        if chunk is not None:
            assert chunk in self.missing
            assert chunk not in self.work[host]
            assert chunk in self.offers[host] - self.postponed[host]
            self.work[host].append(chunk)

    @rule(host=st.integers(0, HOSTS - 1), is_refused=st.booleans())
    def answer(self, host: int, is_refused: bool) -> None:
        if not self.work.get(host):
            return
        chunk = self.work[host].pop(0)
        if is_refused:
            self.scheduler.release(host, chunk)
        else:
            assert self.scheduler.arrive(host, chunk) == (chunk in self.missing)
            self.missing.discard(chunk)

    @invariant()
    def agrees(self) -> None:
        assert self.scheduler.missing_count == len(self.missing)
        asked = [chunk for work in self.work.values() for chunk in work if chunk in self.missing]
        assert all(asked.count(chunk) <= COPIES_MAX for chunk in asked)
        unasked = self.missing - set(asked)
        blocked = {chunk for chunk in unasked if self.is_blocked(chunk)}
        assert self.scheduler.is_endgame == (unasked == blocked)
        kept = {chunk for host, work in self.work.items() for chunk in work if chunk in self.postponed[host]}
        assert self.scheduler.postponed_count == len(blocked | kept & self.missing)

    def is_blocked(self, chunk: int) -> bool:
        """Whether hosts offer the chunk, and all of them have postponed it."""
        hosts = [host for host in self.work if chunk in self.offers[host]]
        return bool(hosts) and all(chunk in self.postponed[host] for host in hosts)


TestSchedulerMachine = SchedulerMachine.TestCase
