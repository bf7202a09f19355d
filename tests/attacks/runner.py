"""Runs one attack program in a process of its own against a running node, and measures the node meanwhile."""

import importlib
import sys
import time
from pathlib import Path
from subprocess import PIPE
from types import ModuleType

import httpx
import trio

from p2p.errors import NetworkError
from p2p.wire.messages import Status, StatusRequest
from p2p.wire.protocols import SYNC
from p2p.wire.requests import request
from tests.attacks.target import Target, open_peer
from tests.attacks.verdict import HONEST_SECONDS_MAX, Verdict
from tests.e2e.harness import ROOT, Network, Node

PROGRAMS = Path(__file__).parent / "programs"
QUIET_SECONDS = 10.0
"""How long the node is measured before an attack."""
SAMPLE_SECONDS = 0.25
VISIT_SECONDS = 1.0
FIRST_NETWORK = 100
PAGE_BYTES = 4096


def list_programs() -> list[str]:
    """Names of all attacks."""
    return sorted(path.stem for path in PROGRAMS.glob("[a-z]*.py"))


def load_program(name: str) -> ModuleType:
    """The module of an attack."""
    return importlib.import_module(f"tests.attacks.programs.{name}")


async def run_attack(name: str, network: Network) -> Verdict:
    """What the first node of the network made of the attack."""
    program, node = load_program(name), network.nodes[0]
    number = FIRST_NETWORK + list_programs().index(name)
    target = Target(node.address, network.genesis_hash, number, node.url)
    verdict = Verdict(name, breaks_rules=getattr(program, "BREAKS_RULES", True))
    earlier = await trio.to_thread.run_sync(list_bans, node)
    verdict.seconds_before = await _measure_interval(node, QUIET_SECONDS)
    await _attack(name, target, program.SECONDS, node, verdict)
    bans = await trio.to_thread.run_sync(list_bans, node)
    verdict.bans = [f"{who}: {reason}" for who, reason in bans.items() if who not in earlier]
    return verdict


async def _attack(name: str, target: Target, seconds: float, node: Node, verdict: Verdict) -> None:
    """The attack from its first to its last second, with what the node and an honest stranger make of it."""
    command = [sys.executable, "-m", "tests.attacks.attacker", name, target.address]
    command += [target.genesis_hash.hex(), str(target.network), node.url]
    begun = trio.Event()
    async with trio.open_nursery() as nursery:
        process = await nursery.start(_start, command)
        nursery.start_soon(_read_report, process, begun, verdict)
        await begun.wait()
        nursery.start_soon(_watch_memory, node, read_memory_mib(node), verdict)
        nursery.start_soon(_visit, target, verdict)
        try:
            verdict.seconds_during = await _measure_interval(node, seconds)
        except (httpx.HTTPError, AssertionError):
            verdict.seconds_during = float("inf")
        verdict.is_alive = node.pid is not None
        process.kill()
        await process.wait()
        nursery.cancel_scope.cancel()


async def _start(command: list[str], *, task_status: trio.TaskStatus[trio.Process]) -> None:
    await trio.run_process(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, check=False, task_status=task_status)


async def _read_report(process: trio.Process, begun: trio.Event, verdict: Verdict) -> None:
    """`begun`, then `cut SECONDS WHY` once, and `NAME: TEXT` for the attacker's own figures."""
    assert process.stdout is not None
    text = b""
    async for data in process.stdout:
        begun.set()
        *lines, text = (text + data).split(b"\n")
        for line in lines:
            _note(line.decode(), verdict)
    begun.set()


def _note(line: str, verdict: Verdict) -> None:
    if line.startswith("cut "):
        _, seconds, why = line.split(maxsplit=2)
        verdict.cut_seconds, verdict.figures["cut"] = float(seconds), why
    elif ": " in line:
        what, _, figure = line.partition(": ")
        verdict.figures[what] = figure


async def _measure_interval(node: Node, seconds: float) -> float:
    """Mean seconds per block over that time; a block still to come counts as far as it is late."""
    begun, first = time.monotonic(), await _get_height(node)
    await trio.sleep(seconds)
    return (time.monotonic() - begun) / max(1, await _get_height(node) - first)


async def _get_height(node: Node) -> int:
    return int((await trio.to_thread.run_sync(node.get, "status"))["height"])


async def _watch_memory(node: Node, before: float, verdict: Verdict) -> None:
    while node.pid is not None:
        verdict.memory_mib = max(verdict.memory_mib, read_memory_mib(node) - before)
        await trio.sleep(SAMPLE_SECONDS)


def read_memory_mib(node: Node) -> float:
    """Resident memory of the node's process."""
    return int(Path(f"/proc/{node.pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


async def _visit(target: Target, verdict: Verdict) -> None:
    """An honest stranger after the other: connects, says hello, asks for the height."""
    number = 0
    while True:
        number += 1
        begun, seconds = time.monotonic(), float("inf")
        with trio.move_on_after(HONEST_SECONDS_MAX):
            try:
                async with open_peer(target.genesis_hash, f"127.9.{number % 250}.9") as stranger:
                    await stranger.connect(target.address)
                    await request(
                        stranger, target.place.peer, SYNC, StatusRequest(), Status, HONEST_SECONDS_MAX
                    )
                    seconds = time.monotonic() - begun
            except NetworkError as error:
                verdict.figures["honest refused"] = str(error)
        verdict.honest.append(seconds)
        await trio.sleep(VISIT_SECONDS)


def list_bans(node: Node) -> dict[str, str]:
    """Reasons of the bans that the node shows, by peer or by group of hosts."""
    return {ban["hosts"] or ban["peer_id"]: ban["reason"] for ban in node.get("peers")["bans"]}
