"""Metrics for Prometheus: one registry per node. Some are updated by events, some are read on request.

Names follow CometBFT's, with the prefix `vidya_`. prometheus_client locks each value, so the
node's loop may write while the API's thread reads.
"""

import time
from collections import deque
from collections.abc import Callable

import structlog
import trio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from chain.block import EventRecord
from chain.modules import possession, sessions
from chain.modules.schedule import MODULES
from chain.primitives.codec import decode
from chain.primitives.types import Address
from node.ledger.ledger import CommittedBlock

_log = structlog.get_logger("metrics")

LAG_SAMPLE_SECONDS = 0.1
LAG_SAMPLES_KEPT = 100
"""The lag shown is the worst of the last ten seconds."""
LAG_ALARM_SECONDS = 0.25
LAG_ALARM_INTERVAL_SECONDS = 10.0
INTERVAL_BUCKETS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 6.0, 7.5, 10.0, 30.0, 60.0)
_EVENT_NAMES = {
    (module.index, index): f"{module.name}.{kind.__name__}"
    for module in MODULES
    for index, kind in module.events.items()
}


class Metrics:
    """All metrics of a node; those under `vidya_host_` are about its own account."""

    def __init__(self, account: Address | None = None) -> None:
        self._account = account
        self._previous_ms: int | None = None
        self.loop_lag_seconds = 0.0
        self.loop_beat: float | None = None
        """When the loop was last seen alive (time.monotonic)."""
        self.registry = CollectorRegistry()
        self._declare_consensus()
        self._declare_host()
        self.watch("loop_lag_seconds", "Worst delay of the loop in 10 s", lambda: self.loop_lag_seconds)

    def _declare_consensus(self) -> None:
        registry = self.registry
        self.height = Gauge("vidya_consensus_height", "Height of the head", registry=registry)
        self.rounds = Gauge("vidya_consensus_rounds", "Round that decided the head", registry=registry)
        self.signatures = Gauge(
            "vidya_consensus_commit_signatures", "Signatures of the head's certificate", registry=registry
        )
        self.interval = Histogram(
            "vidya_consensus_block_interval_seconds",
            "Between the times of a block and its parent",
            buckets=INTERVAL_BUCKETS,
            registry=registry,
        )
        self.transactions = Counter(
            "vidya_consensus_txs", "Final transactions", ["result"], registry=registry
        )
        self.events = Counter("vidya_consensus_events", "Events by name", ["event"], registry=registry)

    def _declare_host(self) -> None:
        registry = self.registry
        self.proofs = Counter("vidya_host_proofs", "Epochs judged", ["result"], registry=registry)
        self.bytes_settled = Counter("vidya_host_settled_bytes", "Served and paid", registry=registry)
        self.income = Counter("vidya_host_income", "Base units earned by serving", registry=registry)

    def watch(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Adds a gauge that calls `read` on each request; `read` must be safe in any thread."""
        Gauge(f"vidya_{name}", description, registry=self.registry).set_function(read)

    def on_committed(self, committed: CommittedBlock) -> None:
        """A block became final."""
        header = committed.block.header
        self.height.set(header.height)
        self.rounds.set(committed.certificate.round)
        self.signatures.set(len(committed.certificate.signatures))
        if self._previous_ms is not None:
            self.interval.observe((header.time_ms - self._previous_ms) / 1000)
        self._previous_ms = header.time_ms
        for receipt in committed.receipts.transactions:
            self.transactions.labels("ok" if receipt.error is None else "refused").inc()
        for event in committed.list_events():
            self._count_event(event)

    def _count_event(self, event: EventRecord) -> None:
        name = _EVENT_NAMES[event.module, event.index]
        self.events.labels(name).inc()
        if name == "possession.Proven":
            if decode(possession.Proven, event.fields).host == self._account:
                self.proofs.labels("proven").inc()
        elif name == "possession.Missed":
            if decode(possession.Missed, event.fields).host == self._account:
                self.proofs.labels("missed").inc()
        elif name == "sessions.Settled":
            settled = decode(sessions.Settled, event.fields)
            if settled.host == self._account:
                self.bytes_settled.inc(settled.bytes)
                self.income.inc(settled.income)

    def format(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


async def run_loop_lag(
    metrics: Metrics, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Measures how late the loop wakes a task; logs a warning when it is too late."""
    lags: deque[float] = deque(maxlen=LAG_SAMPLES_KEPT)
    alarmed_at = trio.current_time() - LAG_ALARM_INTERVAL_SECONDS
    metrics.loop_beat = time.monotonic()
    task_status.started()
    while True:
        due = trio.current_time() + LAG_SAMPLE_SECONDS
        await trio.sleep_until(due)
        now = trio.current_time()
        lags.append(now - due)
        metrics.loop_lag_seconds = max(lags)
        metrics.loop_beat = time.monotonic()
        if lags[-1] > LAG_ALARM_SECONDS and now - alarmed_at >= LAG_ALARM_INTERVAL_SECONDS:
            alarmed_at = now
            _log.warning("loop_lag", milliseconds=int(lags[-1] * 1000))
