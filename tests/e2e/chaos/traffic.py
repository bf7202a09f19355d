"""A load that lives through anything: transfers from several accounts, and what the network said of each.

It runs in a thread of its own. A transfer is handed in again, to another node, until some node says that it
is final: pools are not on disk, and nodes die. What was said to be final is the promise that is held against
the chains afterwards.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event, Thread
from types import TracebackType
from typing import Self

import httpx

from chain.modules.balances import Send
from chain.primitives.addresses import decode_address
from chain.primitives.keys import KeyPair
from chain.transaction import compute_transaction_id
from tests.e2e.harness import Json, Network, sign_calls

SENDERS = ("alice", "bob", "carol", "dave")
UNDER_WAY_MAX = 8
"""Of one sender."""
LIFETIME_BLOCKS = 500
AGAIN_SECONDS = 2.0
ANSWER_SECONDS_MAX = 3.0
PAUSE_SECONDS = 0.05


@dataclass
class Sender:
    """An account and what of its transfers is not known to be final."""

    key: KeyPair
    nonce: int
    waiting: deque[tuple[str, str]] = field(default_factory=deque)
    """(id, hex), in the order of the nonces."""
    handed_in: float = 0.0


class Traffic:
    """Transfers of one unit from everybody to the next, while the block runs."""

    def __init__(self, network: Network, chance: random.Random) -> None:
        self.network = network
        self.final: dict[str, int] = {}
        """Id -> height, as the first node said that was asked."""
        self.refusals: Counter[str] = Counter()
        self._chance = chance
        self._client = httpx.Client(timeout=ANSWER_SECONDS_MAX)
        self._urls = [node.url for node in network.nodes]
        prefix = network.nodes[0].get("status")["prefix"]
        names = [network.get_address(name) for name in SENDERS]
        self._calls = [Send(decode_address(prefix, name), 1) for name in (*names[1:], names[0])]
        self._senders = [
            Sender(network.get_key(name), network.nodes[0].get(f"accounts/{address}")["nonce_next"])
            for name, address in zip(SENDERS, names, strict=True)
        ]
        self._height = network.nodes[0].height
        self._is_ending, self._is_draining = Event(), Event()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_ending.set()
        self._thread.join()
        self._client.close()
        if self._failure is not None and error is None:
            raise self._failure

    @property
    def waiting(self) -> int:
        """How many are on their way."""
        return sum(len(sender.waiting) for sender in self._senders)

    def drain(self) -> None:
        """No new ones from now on."""
        self._is_draining.set()

    def _run(self) -> None:
        try:
            while not self._is_ending.wait(PAUSE_SECONDS):
                self._step(self._chance.choice(self._urls))
        except BaseException as error:
            self._failure = error
            raise

    def _step(self, url: str) -> None:
        """What one node says, and one round of new transfers through it; a node that is down says nothing."""
        try:
            self._height = max(self._height, self._get(url, "status")["height"])
            for sender, call in zip(self._senders, self._calls, strict=True):
                self._look(url, sender)
                self._hand_in(url, sender, call)
        except httpx.TransportError:
            return

    def _get(self, url: str, path: str) -> Json:
        answer = self._client.get(f"{url}/v1/{path}")
        found: Json = answer.json()
        return found

    def _look(self, url: str, sender: Sender) -> None:
        while sender.waiting:
            found = self._get(url, f"transactions/{sender.waiting[0][0]}")
            if found.get("status") != "final":
                return
            assert found["error"] is None, found
            self.final[sender.waiting.popleft()[0]] = found["height"]

    def _hand_in(self, url: str, sender: Sender, call: Send) -> None:
        """New ones, and all that wait if they have waited for long."""
        is_late = time.monotonic() > sender.handed_in + AGAIN_SECONDS
        batch = [text for _, text in sender.waiting] if is_late else []
        while len(sender.waiting) < UNDER_WAY_MAX and not self._is_draining.is_set():
            until = self._height + LIFETIME_BLOCKS
            signed = sign_calls(self.network, sender.key, sender.nonce, until, call)
            batch.append(signed.hex())
            sender.nonce += 1
            sender.waiting.append((compute_transaction_id(signed).hex(), signed.hex()))
        if batch:
            sender.handed_in = time.monotonic()
            self._submit(url, batch)

    def _submit(self, url: str, batch: Sequence[str]) -> None:
        answer = self._client.post(f"{url}/v1/transactions", json=list(batch))
        if answer.status_code != httpx.codes.OK:
            self.refusals[f"http {answer.status_code}"] += 1
            return
        for one in answer.json()["results"]:
            if one["status"] == "rejected":
                self.refusals[one["error"]["code"]] += 1
