"""Chaos: real validators under load are killed at random and at every crash point, paused and restarted.

    python -m tests.e2e.chaos [--seconds 600] [--kills 200] [--seed 1] [--folder DIR]

The plan follows from the seed and is printed; when exactly a kill hits is up to the machine. In the end
everything is back and the load is final, and then the disks of all nodes are judged (`verdict`).
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from node.logs import configure_logs
from tests.e2e.audit.observer import observe
from tests.e2e.audit.signatures import Audit
from tests.e2e.chaos.traffic import Traffic
from tests.e2e.chaos.verdict import Finding, judge
from tests.e2e.chaos.victims import Blow, Return, Victim, build_plan, count_kills
from tests.e2e.harness import Network, open_network, wait_for

BACK_SECONDS_MAX = 10.0
"""From the start of a process to its answer: all but the sync."""
DRAIN_SECONDS_MAX = 180.0
BLOCKS_AFTER = 3
LATE_SECONDS_MAX = 1_800.0
"""A plan that takes so much longer than it should has failed."""


class Chaos:
    """One run over a network that is up."""

    def __init__(self, network: Network, chance: random.Random) -> None:
        self.network = network
        self.left, self.kept = Audit(), Audit()
        """Signatures that left a node, and those that were found on a disk."""
        self.final: dict[str, int] = {}
        self._chance = chance
        self._heads: dict[str, int] = {}
        self.victims = [Victim(node, self.left, self.kept, self._heads) for node in network.nodes]

    def run(self, plan: Sequence[Blow]) -> None:
        """Everything in the plan; raises what went wrong with a node. The nodes are stopped afterwards."""
        nodes = self.network.nodes
        addresses = [node.address for node in nodes]
        with ExitStack() as stack:
            stack.enter_context(observe(addresses, self.network.genesis_hash, self.left))
            traffic = stack.enter_context(Traffic(self.network, self._chance))
            self._follow(plan)
            for victim in self.victims:
                victim.finish()
            self.network.wait_blocks(BLOCKS_AFTER)
            traffic.drain()
            wait_for("every transfer to be final", lambda: traffic.waiting == 0, DRAIN_SECONDS_MAX)
            self.network.wait_height(max(traffic.final.values()))
            self.final = dict(traffic.final)
            say(f"refusals of the pools: {dict(traffic.refusals)}")
        for node in nodes:
            node.stop()

    def _follow(self, plan: Sequence[Blow]) -> None:
        started = time.monotonic()
        for number, blow in enumerate(plan):
            while time.monotonic() < started + blow.at_seconds:
                time.sleep(0.05)
            wait_for(f"the victims of {blow}", partial(self._is_free, blow), LATE_SECONDS_MAX)
            for place in blow.victims:
                self.victims[place].order(blow)
            if number % 10 == 0:
                kills = sum(victim.kills for victim in self.victims)
                seconds = time.monotonic() - started
                say(f"{seconds:6.1f} s: {number} of {len(plan)}, {kills} kills, {self._heads}")

    def _is_free(self, blow: Blow) -> bool:
        for victim in self.victims:
            victim.check()
        return all(self.victims[place].is_idle for place in blow.victims)

    def judge(self, plan: Sequence[Blow], seconds: float) -> list[Finding]:
        """What the run has shown."""
        spec = self.network.devnet.load_spec()
        found = judge(self.network.nodes, spec, self.final, self.left, self.kept)
        return [*found, self._judge_kills(plan, seconds), self._judge_returns()]

    def _judge_kills(self, plan: Sequence[Blow], seconds: float) -> Finding:
        kills = sum(victim.kills for victim in self.victims)
        reached = [point for victim in self.victims for point in victim.reached]
        missed = [place for victim in self.victims for place in victim.missed]
        wanted = {blow.place.partition(":")[0] for blow in plan if blow.place}
        counts = ", ".join(f"{point} {reached.count(point)}" for point in sorted(wanted))
        holds = kills == count_kills(plan) and wanted <= {*reached}
        return Finding(
            "killed everywhere", holds, f"{kills} kills in {seconds:.0f} s; {counts}; not reached {missed}"
        )

    def _judge_returns(self) -> Finding:
        returns = [one for victim in self.victims for one in victim.returns]
        late = [one for one in returns if one.answer_seconds > BACK_SECONDS_MAX]
        for one in returns:
            say(format_return(one))
        answers, heads = (
            [one.answer_seconds for one in returns if one.after != "pause"],
            [one.head_seconds for one in returns],
        )
        figures = f"answers after {describe(answers)}; at the head after {describe(heads)}; late {len(late)}"
        return Finding("each node back", not late, figures)


def format_return(one: Return) -> str:
    """A line of the list of restarts."""
    seconds = f"answers {one.answer_seconds:5.1f} s, head {one.head_seconds:5.1f} s"
    return f"  {one.node} after {one.after:22} {seconds}, {one.blocks_behind} behind"


def describe(seconds: Sequence[float]) -> str:
    """Median, 90th percentile and maximum."""
    ordered = sorted(seconds)
    middle, high = ordered[len(ordered) // 2], ordered[len(ordered) * 9 // 10]
    return f"p50 {middle:.1f} s, p90 {high:.1f} s, max {ordered[-1]:.1f} s"


def say(text: str) -> None:
    """To the terminal, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run_chaos(folder: Path, *, seconds: float, kills: int, seed: int) -> list[Finding]:
    """A network of its own, the whole run, and what it has shown."""
    chance = random.Random(seed)
    with open_network(folder) as network:
        plan = build_plan(chance, len(network.nodes), seconds, kills)
        say(f"seed {seed}: {len(plan)} blows, {count_kills(plan)} kills, {seconds:.0f} s")
        for blow in plan:
            say(str(blow))
        chaos, started = Chaos(network, chance), time.monotonic()
        chaos.run(plan)
        findings = chaos.judge(plan, time.monotonic() - started)
    for finding in findings:
        say(f"{'ok  ' if finding.holds else 'FAIL'}  {finding.what}: {finding.figures}")
    return findings


def main() -> int:
    """From the command line; 0 if everything holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="kept afterwards; else a temporary one")
    chosen = parser.parse_args()
    configure_logs("error")
    with tempfile.TemporaryDirectory(prefix="chaos") as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = run_chaos(folder, seconds=chosen.seconds, kills=chosen.kills, seed=chosen.seed)
    return 0 if all(finding.holds for finding in found) else 1
