"""A light load of transfers, and the book of what the network promised: acknowledged as final is final."""

import random
from collections import deque

import httpx

from chain.modules.balances import Send
from chain.primitives.addresses import decode_address
from chain.primitives.keys import KeyPair
from tests.e2e.harness import Network, Node, sign_calls

UNDER_WAY_MAX = 8
LIFETIME_BLOCKS = 500


class Load:
    """Transfers of one unit, one after the other, to nodes drawn at random."""

    def __init__(self, network: Network, sender: str, recipient: str, chance: random.Random) -> None:
        self.network = network
        self.final: dict[str, int] = {}
        """Id -> height, as a node has said."""
        self._chance = chance
        self._key: KeyPair = network.get_key(sender)
        prefix = network.nodes[0].get("status")["prefix"]
        self._call = Send(decode_address(prefix, network.get_address(recipient)), 1)
        self._nonce = network.nodes[0].get(f"accounts/{network.get_address(sender)}")["nonce_next"]
        self._waiting: deque[tuple[str, str]] = deque()
        """(id, hex) of what was handed in and is not known to be final."""

    @property
    def top(self) -> int:
        """The highest block in which something was acknowledged."""
        return max(self.final.values(), default=0)

    @property
    def waiting(self) -> int:
        """How many are on their way."""
        return len(self._waiting)

    def step(self) -> None:
        """Looks what became of the oldest, and hands in one more; a node that is down is no failure."""
        node = self._chance.choice(self.network.nodes)
        self.look(node)
        if len(self._waiting) < UNDER_WAY_MAX:
            until = max(node.height, self.top) + LIFETIME_BLOCKS
            signed = sign_calls(self.network, self._key, self._nonce, until, self._call)
            found = self._submit(node, [signed.hex()])
            if found:
                self._nonce += 1
                self._waiting.append((found[0], signed.hex()))

    def look(self, node: Node) -> None:
        """Notes what the node says is final, the oldest first."""
        while self._waiting:
            found = node.try_get(f"transactions/{self._waiting[0][0]}")
            if found is None or found["status"] != "final":
                return
            assert found["error"] is None, found
            self.final[self._waiting.popleft()[0]] = found["height"]

    def hand_in_again(self, node: Node) -> None:
        """A pool is not kept on disk: what had not become final is handed in once more, as it was."""
        if self._waiting:
            self._submit(node, [text for _, text in self._waiting])

    def _submit(self, node: Node, batch: list[str]) -> list[str]:
        """Ids of what the node took or has; none if it is down."""
        try:
            answer = node.client.post(f"{node.url}/v1/transactions", json=batch)
        except httpx.TransportError:
            return []
        assert answer.status_code == 200, answer.text
        results = answer.json()["results"]
        assert all(one["status"] in ("pooled", "final") for one in results), results
        return [one["id"] for one in results]
