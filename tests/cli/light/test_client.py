"""The light client over nodes: honest, behind, lying, of another network; and the trust that it keeps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chain.block import compute_header_hash
from chain.light import (
    Divergence,
    ForgedHeader,
    LightBlock,
    LightError,
    TrustExpired,
    list_equivocations,
)
from chain.modules.offences import Report
from chain.primitives.codec import decode, encode
from chain.runtime import decode_calls
from chain.transaction import check_signature, decode_transaction
from cli.commands.light import report
from cli.context.client import Client
from cli.errors import CliError, explain
from cli.exits import ExitCode
from cli.light.client import TRUSTED_KEPT_MAX, LightClient, TrustFile
from cli.light.evidence import keep, submit
from cli.light.trusting import check_witnesses, open_light_client, parse_anchor
from cli.terminal.options import build_settings
from tests.chain.support.signed_chain import SignedChain, build_chain_spec

HEAD = 60


@pytest.fixture(scope="module")
def chain() -> SignedChain:
    """60 headers; all validators but two are replaced at height 30."""
    chain = SignedChain(build_chain_spec(range(6)))
    chain.grow(30)
    chain.set_target(dict.fromkeys((0, 1, 6, 7, 8, 9), 100))
    chain.grow(HEAD - 30)
    return chain


class Node:
    """A node's API over a chain of headers, without the HTTP in between."""

    def __init__(self, chain: SignedChain, url: str = "http://node") -> None:
        self.chain, self.url = chain, url
        self.asked: list[str] = []
        self.submitted: list[str] = []
        self.head = len(chain.blocks) - 1

    def get(self, path: str, **parameters: Any) -> Any:
        """Status, headers, light blocks."""
        self.asked.append(path)
        if path == "/v1/status":
            return {"chain_id": self.chain.rules.genesis_hash.hex(), "height": self.head}
        if path == "/v1/headers":
            lowest = max(parameters["from"] - 6, -1)
            heights = range(parameters["from"], lowest, -1)
            return {"headers": [encode(self.chain.blocks[height].header).hex() for height in heights]}
        name = path.removeprefix("/v1/headers/")
        height = self.head if name == "latest" else int(name)
        if height > self.head:
            raise CliError("not_found", path, status=ExitCode.NOT_FOUND)
        return form(self.chain.blocks[height])

    def post(self, path: str, body: Any) -> Any:
        """Takes transactions, each once."""
        assert path == "/v1/transactions"
        errors = [{"code": "known"} if one in self.submitted else None for one in body]
        self.submitted += body
        return {"results": [{"error": error} for error in errors]}


def form(block: LightBlock) -> dict[str, Any]:
    """As the API answers."""
    certificate = None if block.certificate is None else encode(block.certificate).hex()
    return {
        "header": encode(block.header).hex(),
        "certificate": certificate,
        "roster": encode(block.roster).hex(),
    }


Open = Callable[..., LightClient]


@pytest.fixture
def open_client(chain: SignedChain, tmp_path: Path) -> Open:
    """Makes clients of one home, a moment after the head."""

    def build(node: Node, *witnesses: Node, now_ms: int = chain.now_ms) -> LightClient:
        file = TrustFile(tmp_path, chain.rules.genesis_hash)
        return LightClient(chain.spec, node, file, witnesses, now_ms=lambda: now_ms)

    return build


def fork(chain: SignedChain, height: int, round: int = 0) -> SignedChain:
    """Another history after a height, signed by the same validators."""
    other = chain.fork(height)
    other.grow(HEAD - height, salt=b"fork", round=round)
    return other


def test_trust_is_gained_and_kept(chain: SignedChain, open_client: Open) -> None:
    """From genesis to the head, and the next time from there; any height in between can be had too."""
    node = Node(chain)
    client = open_client(node)
    header, root = client.reach()
    assert (header, root) == (chain.head.header, chain.blocks[0])
    assert 1 < client.downloads == len(node.asked) < 20
    again = open_client(node)
    assert again.reach() == (chain.head.header, chain.head) and again.downloads == 1
    for height in (0, 7, 31, 59):
        assert open_client(node).reach(height)[0] == chain.blocks[height].header


def test_trust_goes_back_by_parents_where_genesis_is_too_old(chain: SignedChain, open_client: Open) -> None:
    """With a fresh anchor alone, heights below it are verified by their hashes, pages of them."""
    now_ms = chain.blocks[40].header.time_ms + chain.rules.trusting_period_ms - 1
    node = Node(chain)
    with pytest.raises(TrustExpired):
        open_client(node, now_ms=now_ms).reach()
    client = open_client(node, now_ms=now_ms)
    client.anchor(*parse_anchor(f"50:{compute_header_hash(chain.blocks[50].header).hex()}"))
    assert client.reach(33)[0] == chain.blocks[33].header
    assert client.reach()[0] == chain.head.header
    forged = Node(fork(chain, 20))
    for liar in (forged, Node(fork(chain, 33))):
        with pytest.raises(ForgedHeader):
            open_client(liar, now_ms=now_ms).reach(34)


@pytest.mark.parametrize("text", ["", "5", "x:00", "5:zz", "5:00", f"-1:{'00' * 32}"])
def test_an_anchor_that_cannot_be_meant_is_refused(text: str) -> None:
    """Height and 64 digits, or nothing."""
    with pytest.raises(CliError) as caught:
        parse_anchor(text)
    assert caught.value.exit is ExitCode.USAGE


def test_an_anchor_with_another_hash_is_refused(chain: SignedChain, open_client: Open) -> None:
    """The node shows another block than the one that was named."""
    with pytest.raises(LightError):
        open_client(Node(chain)).anchor(50, bytes(32))


def test_damaged_trust_counts_as_none(chain: SignedChain, open_client: Open, tmp_path: Path) -> None:
    """Every way of damage leads back to the chain spec; what is kept stays bounded."""
    node = Node(chain)
    open_client(node).reach()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:10], b"", whole[:40] + bytes((whole[40] ^ 1,)) + whole[41:]):
        path.write_bytes(damaged)
        client = open_client(node)
        assert client.reach() == (chain.head.header, chain.blocks[0])
    file = TrustFile(tmp_path, chain.rules.genesis_hash)
    file.save(chain.blocks)
    assert len(file.load()) == TRUSTED_KEPT_MAX - 3 == len(chain.blocks)
    file.save(chain.blocks * 2)
    assert file.load()[-1] == chain.head and len(file.load()) <= TRUSTED_KEPT_MAX


@pytest.mark.parametrize(
    "spoil",
    [
        lambda answer: answer.pop("roster"),
        lambda answer: answer.update(header="zz"),
        lambda answer: answer.update(header="00"),
        lambda answer: answer.update(certificate=None),
        lambda answer: answer.update(certificate=7),
        lambda answer: answer.update(roster="00" * 70_000),
        lambda answer: answer.clear(),
    ],
)
def test_nonsense_is_refused(
    chain: SignedChain, open_client: Open, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any], object]
) -> None:
    """Whatever a node answers, it is a light block that verifies, or it is refused."""
    node = Node(chain)
    answer = form(chain.head)
    spoil(answer)
    monkeypatch.setattr(node, "get", lambda path, **_: answer)
    with pytest.raises(ForgedHeader):
        open_client(node).reach()


def test_an_anchor_that_contradicts_older_trust_is_a_fork(chain: SignedChain, open_client: Open) -> None:
    """As long as there is trust of its own, the client follows it to the block that is named."""
    other = fork(chain, 20)
    named = compute_header_hash(other.blocks[50].header)
    open_client(Node(chain)).reach()
    with pytest.raises(Divergence):
        open_client(Node(other)).anchor(50, named)


# Witnesses.


def test_witnesses_are_heard_wherever_trust_comes_from(chain: SignedChain, open_client: Open) -> None:
    """At a height that was trusted before, and below all that is trusted, too."""
    other = Node(fork(chain, 20), "http://fork")
    open_client(Node(chain)).reach()
    client = open_client(Node(chain), Node(chain, "http://other"))
    client.reach(HEAD)
    assert client.agreed == ["http://other"]
    with pytest.raises(Divergence):
        open_client(Node(chain), other).reach(HEAD)
    late_ms = chain.blocks[40].header.time_ms + chain.rules.trusting_period_ms - 1
    client = open_client(Node(chain), other, Node(chain, "http://other"), now_ms=late_ms)
    client.reach(33)
    assert client.agreed == ["http://other"]


def test_witnesses_agree(chain: SignedChain, open_client: Open) -> None:
    """Those that say the same are listed; one that is unreachable does not count."""
    deaf = Client("http://127.0.0.1:9")
    client = open_client(Node(chain), Node(chain, "http://other"), deaf)
    assert client.reach()[0] == chain.head.header
    assert client.agreed == ["http://other"]


def test_a_lying_witness_does_not_count_and_one_alone_is_not_enough(
    chain: SignedChain, open_client: Open
) -> None:
    """It cannot show its header; if nobody else agrees, nothing is trusted."""
    liar = chain.fork(20)
    liar.usurp([200, 201])
    liar.grow(HEAD - 20, salt=b"lie")
    client = open_client(Node(chain), Node(liar, "http://liar"), Node(chain, "http://other"))
    client.reach()
    assert client.agreed == ["http://other"]


def test_nothing_is_kept_if_no_witness_agrees(chain: SignedChain, open_client: Open, tmp_path: Path) -> None:
    """The error says so, with the exit code of what is not proven."""
    liar = chain.fork(20)
    liar.usurp([200, 201])
    liar.grow(HEAD - 20, salt=b"lie")
    with pytest.raises(CliError) as caught:
        open_client(Node(chain), Node(liar)).reach()
    assert (caught.value.code, caught.value.exit) == ("no_witness", ExitCode.NOT_PROVEN)
    assert list(tmp_path.iterdir()) == []


def test_a_fork_is_kept_reported_and_told(chain: SignedChain, open_client: Open, tmp_path: Path) -> None:
    """Both nodes get a signed duty against each offender; the user gets both blocks and exit code 11."""
    ours, theirs = Node(chain), Node(fork(chain, 45))
    with pytest.raises(Divergence) as caught:
        open_client(ours, theirs).reach()
    assert explain(caught.value).exit is ExitCode.DIVERGENCE
    settings = build_settings({"home": str(tmp_path)})
    told = report(settings, chain.spec, caught.value, [ours, theirs])  # type: ignore[list-item]
    assert isinstance(told, CliError) and (told.code, told.exit) == ("divergence", ExitCode.DIVERGENCE)
    assert "evidence against 6 validators" in told.message and "nodes took 6 reports" in told.message
    evidence = list_equivocations(caught.value.ours, caught.value.theirs)
    assert len(ours.submitted) == len(theirs.submitted) == len(evidence) == 6
    for data, one in zip(ours.submitted, evidence, strict=True):
        signed = decode_transaction(bytes.fromhex(data))
        check_signature(signed)
        (call,) = decode_calls(signed.transaction)
        assert call.arguments == Report(one)
    kept = json.loads((tmp_path / "light" / f"divergence-{caught.value.ours.header.height}.json").read_text())
    assert decode(LightBlock, bytes.fromhex(kept["theirs"])) == caught.value.theirs


def test_amnesia_is_told_and_not_reported(chain: SignedChain, open_client: Open, tmp_path: Path) -> None:
    """Two rounds: there is nothing to send."""
    ours, theirs = Node(chain), Node(fork(chain, 45, round=1))
    with pytest.raises(Divergence) as caught:
        open_client(ours, theirs).reach()
    settings = build_settings({"home": str(tmp_path)})
    told = report(settings, chain.spec, caught.value, [ours, theirs])  # type: ignore[list-item]
    assert "cannot prove" in str(told) and ours.submitted == []


def test_another_header_at_a_trusted_height_is_a_fork(chain: SignedChain, open_client: Open) -> None:
    """Also without witnesses: what was trusted yesterday is one."""
    open_client(Node(chain)).reach()
    with pytest.raises(Divergence):
        open_client(Node(fork(chain, 45))).reach()


def test_reports_go_to_nodes_that_can_be_reached(chain: SignedChain, tmp_path: Path) -> None:
    """A node that does not answer is no reason not to tell the others."""
    other = fork(chain, 45)
    evidence = list_equivocations(chain.blocks[50], other.blocks[50])
    node = Node(chain)
    assert submit(chain.spec, evidence, [Client("http://127.0.0.1:9"), node]) == len(evidence)
    found = Divergence(chain.blocks[45], chain.blocks[50], other.blocks[50])
    assert keep(tmp_path, found).is_file()


def test_a_node_of_another_network_is_refused(chain: SignedChain, tmp_path: Path) -> None:
    """Before anything is asked of it."""
    node = Node(SignedChain(build_chain_spec(range(3))))
    with pytest.raises(CliError) as caught:
        open_light_client(build_settings({"home": str(tmp_path)}), chain.spec, node)
    assert (caught.value.code, caught.value.exit) == ("other_network", ExitCode.NOT_PROVEN)


def build_home_client(chain: SignedChain, tmp_path: Path, node: Node, now_ms: int) -> LightClient:
    file = TrustFile(tmp_path, chain.rules.genesis_hash)
    return LightClient(chain.spec, node, file, now_ms=lambda: now_ms, is_first_use_allowed=True)


def test_a_network_of_this_machine_is_believed_the_next_day(
    chain: SignedChain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Genesis is too old: the head is trusted with a warning, once, and all below it by parents."""
    now_ms = chain.blocks[40].header.time_ms + chain.rules.trusting_period_ms - 1
    node = Node(chain)
    assert build_home_client(chain, tmp_path, node, now_ms).reach()[0] == chain.head.header
    assert "believed without proof" in capsys.readouterr().err
    assert build_home_client(chain, tmp_path, node, now_ms).reach(33)[0] == chain.blocks[33].header
    assert capsys.readouterr().err == ""
    forged = Node(fork(chain, 20))
    with pytest.raises((ForgedHeader, Divergence)):
        build_home_client(chain, tmp_path, forged, now_ms).reach()


def test_an_old_head_or_an_unsigned_one_is_not_believed(chain: SignedChain, tmp_path: Path) -> None:
    """What is believed on first use must be fresh, and signed by its own roster."""
    late = chain.head.header.time_ms + chain.rules.trusting_period_ms + 1
    with pytest.raises(TrustExpired):
        build_home_client(chain, tmp_path, Node(chain), late).reach()


def test_other_networks_are_not_believed(chain: SignedChain, tmp_path: Path) -> None:
    """A node elsewhere, or a network that is not of this machine: no trust on first use."""
    settings = build_settings({"home": str(tmp_path)})
    assert not open_light_client(
        settings, chain.spec, Node(chain, "http://203.0.113.5:80")
    )._is_first_use_allowed


@pytest.mark.parametrize(
    "urls",
    [
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://127.0.0.1:1", "http://localhost:1"),
        ("http://127.0.0.1:1", "http://[::1]:1"),
        ("http://127.0.0.1:1", "http://127.0.0.2:1"),
        ("http://203.0.113.5", "http://203.0.113.5:80"),
        ("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:2"),
    ],
)
def test_nobody_is_a_witness_of_oneself(chain: SignedChain, urls: tuple[str, ...]) -> None:
    """The node under another name of the same machine, and one witness named twice, are refused."""
    node, *witnesses = (Node(chain, url) for url in urls)
    with pytest.raises(CliError) as caught:
        check_witnesses(node, witnesses)
    assert caught.value.exit is ExitCode.USAGE and "same node" in caught.value.message


def test_different_nodes_are_witnesses(chain: SignedChain) -> None:
    """Other ports of one machine, as on a devnet, and other machines."""
    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2", "http://203.0.113.5:1")
    node, *witnesses = (Node(chain, url) for url in urls)
    check_witnesses(node, witnesses)
