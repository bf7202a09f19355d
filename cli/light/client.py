"""The light client: the nodes it asks, the file in which it keeps its trust, the clock.

What makes a header trusted is in `chain.light`. No node is believed, one's own neither. Trust is kept per
network and home; a file that does not verify counts as none, since trust can be gained again.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from blake3 import blake3

from chain.block import Header, compute_header_hash
from chain.errors import DecodeError
from chain.genesis import ChainSpec
from chain.light import (
    Bisection,
    CrossCheck,
    Divergence,
    ForgedHeader,
    LightBlock,
    LightError,
    TrustExpired,
    build_genesis_light_block,
    build_rules,
    check_anchor,
    check_light_block,
    check_trust,
    verify_parent,
)
from chain.primitives.codec import decode, encode
from chain.primitives.types import Hash, Height, TimeMs
from chain.validator_set import Roster
from chain.votes import CommitCertificate
from cli.errors import CliError
from cli.exits import ExitCode
from cli.terminal import output
from cli.terminal.wording import format_count
from storage.files import atomic_write

TRUSTED_KEPT_MAX = 64
LIGHT_BLOCK_BYTES_MAX = 64 * 2**10
BACK_HEADERS_MAX = 20_000
WITNESS_SECONDS_MAX = 15.0
POLL_SECONDS = 0.5
_CHECKSUM_BYTES = 16


class NodeApi(Protocol):
    """What is asked of a node (`cli.context.client.Client`)."""

    url: str

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON at a path; raises CliError."""


def get_now_ms() -> TimeMs:
    """This machine's clock."""
    return time.time_ns() // 1_000_000


def parse_light_block(answer: Any) -> LightBlock:
    """A node's answer; raises ForgedHeader for a malformed one."""
    try:
        certificate = answer["certificate"]
        return LightBlock(
            decode(Header, bytes.fromhex(answer["header"]), LIGHT_BLOCK_BYTES_MAX),
            decode(CommitCertificate, bytes.fromhex(certificate), LIGHT_BLOCK_BYTES_MAX)
            if certificate
            else None,
            decode(Roster, bytes.fromhex(answer["roster"]), LIGHT_BLOCK_BYTES_MAX),
        )
    except (DecodeError, KeyError, TypeError, ValueError) as error:
        raise ForgedHeader(f"the node answers something else than a header ({error})") from error


def fetch_light_block(api: NodeApi, height: Height | str) -> LightBlock:
    """The block of a height, or `latest`; raises CliError, ForgedHeader."""
    return parse_light_block(api.get(f"/v1/headers/{height}"))


def fetch_headers(api: NodeApi, start: Height) -> list[Header]:
    """Headers downwards from a height, at least one; raises CliError, ForgedHeader."""
    answer = api.get("/v1/headers", **{"from": start})
    try:
        encoded = [bytes.fromhex(text) for text in answer["headers"]]
        headers = [decode(Header, data, LIGHT_BLOCK_BYTES_MAX) for data in encoded]
    except (DecodeError, KeyError, TypeError, ValueError) as error:
        raise ForgedHeader(f"the node answers something else than headers ({error})") from error
    if not headers:
        raise ForgedHeader("the node answers no header")
    return headers


class TrustFile:
    """The newest trusted blocks of one network, ascending."""

    def __init__(self, folder: Path, genesis_hash: Hash) -> None:
        self._path = folder / f"{genesis_hash.hex()[:16]}.trust"

    def load(self) -> tuple[LightBlock, ...]:
        """What was saved last; nothing if there is no file or it is damaged."""
        if not self._path.is_file():
            return ()
        with self._path.open("rb") as file:
            sealed = file.read(TRUSTED_KEPT_MAX * LIGHT_BLOCK_BYTES_MAX)
        data = sealed[_CHECKSUM_BYTES:]
        try:
            if _compute_checksum(data) != sealed[:_CHECKSUM_BYTES]:
                raise DecodeError("checksum")
            return decode(tuple[LightBlock, ...], data)
        except DecodeError:
            output.say(f"{self._path} is damaged; trust begins with the chain spec again")
            return ()

    def save(self, blocks: Sequence[LightBlock]) -> None:
        """Keeps the newest of these and of those saved before."""
        kept = {block.header.height: block for block in (*self.load(), *blocks)}
        newest = [kept[height] for height in sorted(kept)][-TRUSTED_KEPT_MAX:]
        data = encode(tuple(newest))
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic_write(self._path, _compute_checksum(data) + data)


def _compute_checksum(data: bytes) -> bytes:
    return blake3(data).digest(length=_CHECKSUM_BYTES)


class LightClient:
    """Trust in headers of one network, gained from one node and compared with witnesses."""

    def __init__(
        self,
        spec: ChainSpec,
        api: NodeApi,
        file: TrustFile,
        witnesses: Sequence[NodeApi] = (),
        now_ms: Callable[[], TimeMs] = get_now_ms,
        *,
        is_first_use_allowed: bool = False,
    ) -> None:
        self.spec = spec
        self.rules = build_rules(spec)
        self._api, self._file, self._witnesses, self._now_ms = api, file, tuple(witnesses), now_ms
        self._is_first_use_allowed = is_first_use_allowed
        """Whether the node's head is believed where nothing else is fresh; see `cli.light.trusting`."""
        self.downloads = 0
        """Light blocks fetched from the node, witnesses not counted."""
        self.agreed: list[str] = []
        """Witnesses that say the same."""

    def check_network(self) -> None:
        """Raises CliError if the node itself says that it is of another network."""
        status = self._api.get("/v1/status")
        named = str(status.get("chain_id")) if isinstance(status, dict) else "?"
        if named != self.rules.genesis_hash.hex():
            message = (
                f"the node is of network {named[:16]}, the chain spec of {self.rules.genesis_hash.hex()[:16]}"
            )
            raise CliError("other_network", message, status=ExitCode.NOT_PROVEN)

    def anchor(self, height: Height, header_hash: Hash) -> None:
        """Trusts the block that the user named if no older trust contradicts; raises LightError, CliError."""
        block = self._fetch(height)
        check_anchor(self.rules, block, height, header_hash)
        check_trust(self.rules, block, self._now_ms())
        with suppress(TrustExpired):
            self.check(block)
        self._file.save([block])

    def reach(self, height: Height | None = None) -> tuple[Header, LightBlock]:
        """The header of a height (None: the newest), trusted, and the block that trust began with."""
        block = self._fetch("latest" if height is None else height)
        if height is not None and block.header.height != height:
            raise ForgedHeader(f"height {block.header.height} was given for {height}")
        return block.header, self.check(block)

    def check(self, block: LightBlock) -> LightBlock:
        """Gains trust in a block that a node gave; returns the one it began with.

        Nothing is kept before all witnesses were heard. Raises LightError, CliError.
        """
        # With witnesses trust has to be gained once more, so that there is something to compare.
        root = self._find_root(block.header.height - bool(self._witnesses))
        if root.header.height > block.header.height:
            self._walk_back(root, block.header)
            self._hear_witnesses(lambda witness: _compare_headers(witness, block.header))
        elif root.header.height == block.header.height:
            self._compare(root, block)
        else:
            trace = self._climb(root, block)
            self._hear_witnesses(lambda witness: self._cross_check(witness, trace))
            self._file.save(trace[1:])
        return root

    def _fetch(self, height: Height | str) -> LightBlock:
        self.downloads += 1
        return fetch_light_block(self._api, height)

    def _find_root(self, height: Height) -> LightBlock:
        """The best trusted block to begin with; raises TrustExpired."""
        known = [block for block in self._file.load() if self._is_fresh(block)]
        below = [block for block in known if block.header.height <= height]
        if below:
            return below[-1]
        genesis = build_genesis_light_block(self.spec)
        if known and not self._is_fresh(genesis):
            return known[0]
        if genesis.header.height == height or self._is_fresh(genesis):
            return genesis
        if self._is_first_use_allowed:
            return self._believe_head()
        check_trust(self.rules, genesis, self._now_ms())
        return genesis

    def _believe_head(self) -> LightBlock:
        """Trusts the node's newest block, which must be signed and fresh; raises LightError, CliError."""
        block = self._fetch("latest")
        check_light_block(self.rules, block)
        check_trust(self.rules, block, self._now_ms())
        output.warn(
            f"the chain spec is older than trust lasts: block {block.header.height} of {self._api.url} is"
            " believed without proof, since the whole network is on this machine"
        )
        self._file.save([block])
        return block

    def _is_fresh(self, block: LightBlock) -> bool:
        try:
            check_trust(self.rules, block, self._now_ms())
        except TrustExpired:
            return False
        return True

    def _climb(self, root: LightBlock, block: LightBlock) -> list[LightBlock]:
        bisection = Bisection(self.rules, root, block.header.height)
        bisection.supply(block, self._now_ms())
        try:
            while bisection.wanted is not None:
                output.show_line(
                    f"verified up to {bisection.trusted.header.height}; asks for {bisection.wanted}"
                )
                bisection.supply(self._fetch(bisection.wanted), self._now_ms())
        except ForgedHeader:
            self._look_for_fork(bisection.trusted)
            raise
        output.end_line()
        return bisection.trace

    def _compare(self, root: LightBlock, block: LightBlock) -> None:
        """At a trusted height there is one header; raises ForgedHeader, Divergence."""
        if block.header != root.header:
            self._look_for_fork(root)
            raise ForgedHeader("another header than the trusted one of this height")

    def _look_for_fork(self, newest: LightBlock) -> None:
        """Raises Divergence if the node can show the history that contradicts what is trusted."""
        with suppress(CliError, ForgedHeader, TrustExpired):
            self._cross_check(self._api, [newest])

    def _cross_check(self, api: NodeApi, trace: Sequence[LightBlock]) -> None:
        """Compares all trusted blocks, down to genesis, with another node; raises Divergence, LightError."""
        known = {block.header.height: block for block in (*self._file.load(), *trace)}
        known[0] = build_genesis_light_block(self.spec)
        history = [known[height] for height in sorted(known) if height <= trace[-1].header.height]
        history = [block for block in history if self._is_fresh(block)]
        if len(history) < 2:
            raise TrustExpired("nothing older is trusted any more that could be compared")
        check = CrossCheck(self.rules, history)
        while check.wanted is not None:
            check.supply(_wait_for_block(api, check.wanted), self._now_ms())

    def _walk_back(self, root: LightBlock, header: Header) -> None:
        """From a trusted header down to one below it, parent by parent."""
        newer, count = root.header, root.header.height - header.height
        if count > BACK_HEADERS_MAX:
            raise CliError(
                "too_far_back",
                f"{format_count(count, 'header')} below what is trusted",
                status=ExitCode.NOT_PROVEN,
            )
        while newer.height > header.height:
            output.show_line(f"verified down to {newer.height}")
            for older in fetch_headers(self._api, newer.height - 1)[: newer.height - header.height]:
                verify_parent(newer, older)
                newer = older
        output.end_line()
        if newer != header:
            raise ForgedHeader("another header than the trusted chain has at this height")

    def _hear_witnesses(self, ask: Callable[[NodeApi], None]) -> None:
        """Raises Divergence, or CliError if there are witnesses and none agrees."""
        for witness in self._witnesses:
            try:
                ask(witness)
                self.agreed.append(witness.url)
            except Divergence:
                raise
            except (CliError, LightError) as error:
                output.say(f"witness {witness.url} does not count: {error}")
        if self._witnesses and not self.agreed:
            raise CliError("no_witness", "no witness confirms what the node says", status=ExitCode.NOT_PROVEN)


def _compare_headers(witness: NodeApi, header: Header) -> None:
    """Below the trusted height: a witness with another header is on another chain, or lies."""
    if fetch_light_block(witness, header.height).header != header:
        raise ForgedHeader("another header than the trusted chain has at this height")


def _wait_for_block(witness: NodeApi, height: Height) -> LightBlock:
    """A witness may be some blocks behind."""
    deadline = time.monotonic() + WITNESS_SECONDS_MAX
    while True:
        try:
            return fetch_light_block(witness, height)
        except CliError as error:
            if error.exit is not ExitCode.NOT_FOUND or time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def describe_header(header: Header) -> dict[str, Any]:
    """What a trusted header says."""
    return {
        "height": header.height,
        "header": compute_header_hash(header).hex(),
        "state_root": header.state_root.hex(),
        "time_ms": header.time_ms,
    }
