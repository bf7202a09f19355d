"""Guides as transcripts: their commands run in a pseudo-terminal, what they print is compared in form.

In a block of a guide, a line that begins with `$ ` is a command and the lines below it are what it prints.
Ids, amounts, times and places differ between two runs, so both sides are brought to a form without them. A
line `...` stands for any lines.

A guide shows a terminal of 100 columns. What its commands print at other widths is kept in `golden/`; where
the guide has `...`, only the exit code and the width are looked at there.

`python -m tests.cli.commands.transcripts [WIDTH] [GUIDE ...]` runs the guides on a new devnet and writes into
them, or into `golden/`, what was printed where that differs; in a guide, lines `...` have to be put back by
hand.
"""

import fcntl
import os
import pty
import random
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
GUIDES = ("first-run", "wallet", "light", "hosting", "jury")
WIDTH = 100
OTHER_WIDTHS = (60, 120)
UNCUT_CHARS_MIN = 40
"""A word of so many characters (an id, an address, a path) makes a line longer than the terminal."""
ANYTHING = "..."
COMMAND_SECONDS_MAX = 240.0
_FENCE = re.compile(r"^```console\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_CUT_ID = re.compile(r"([\w./]{30,})\n +(\w+)$", re.MULTILINE)
"""The end of one line and all of the next, which is indented."""
_ENVIRONMENT_FILE = ".environment"
_FORMS = (
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    (r"[^\s=]*/(?=demo|fred-home|observer)", ""),
    (r"\b[0-9a-f]{64}\b", "<id>"),
    (r"\b[a-z]{1,10}1[02-9ac-hj-np-z]{58}\b", "<address>"),
    (r"\b12D3Koo\w{45}\b", "<peer>"),
    (r"\b\w{10}\.\.\.\w{4}\b", "<short>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "<date>"),
    (r"\b\d[\d,]*(\.\d+)?", "<n>"),
    (r"<n> (ms|s|min|h|days?)\b", "<time>"),
    (r"\((now|in <time>|<time> ago)\)", "(<when>)"),
    (r"[✓✗~]+", "<marks>"),
    (r"(?<=[a-z])\d+\b", "<n>"),
    (r"\s+", " "),
)


class Step(NamedTuple):
    """A command of a guide, and the lines that it prints there."""

    command: str
    printed: list[str]


def get_path(guide: str) -> Path:
    """The file of a guide."""
    return ROOT / "docs" / "guide" / f"{guide}.md"


def get_golden(guide: str, width: int) -> Path:
    """The file of what a guide's commands print at another width."""
    return Path(__file__).parent / "golden" / f"{guide}-{width}.txt"


def list_blocks(guide: str, width: int = WIDTH) -> list[list[Step]]:
    """The blocks of a guide, with what their commands print at this width."""
    blocks = [parse_block(block) for block in _FENCE.findall(get_path(guide).read_text())]
    if width == WIDTH:
        return blocks
    golden = iter(parse_block(get_golden(guide, width).read_text()))
    return [[_take(golden, step) for step in block] for block in blocks]


def _take(golden: Iterator[Step], step: Step) -> Step:
    kept = next(golden, None)
    assert kept is not None and kept.command == step.command, f"record the guides again: {step.command}"
    return kept


def find_overlong(printed: list[str], width: int) -> list[str]:
    """Lines that a terminal of this width has to break, but for those with a word that cannot be cut."""
    # Commands are printed to be copied, here by the interpreter's path.
    long = [line for line in printed if len(line) > width and " -m cli.main " not in line]
    return [line for line in long if max(map(len, line.split())) < UNCUT_CHARS_MIN]


def parse_block(block: str) -> list[Step]:
    """The commands of one block."""
    steps: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:], []))
        elif steps:
            steps[-1].printed.append(line)
    return steps


def to_form(line: str) -> str:
    """The line without what differs between two runs."""
    for pattern, form in _FORMS:
        line = re.sub(pattern, form, line)
    return line.strip()


def join_ids(lines: list[str]) -> list[str]:
    """The lines with ids whole that a narrow terminal has cut in two."""
    text, count = "\n".join(lines), 1
    while count:
        text, count = _CUT_ID.subn(r"\1\2", text)
    return text.split("\n")


def find_difference(expected: list[str], printed: list[str]) -> str | None:
    """What does not fit, None if all does. `...` stands for any lines; where lines are folded does not count,
    since that depends on the length of numbers.
    """
    parts: list[list[str]] = [[]]
    for line in expected:
        if line.strip() == ANYTHING:
            parts.append([])
        else:
            parts[-1].append(line)
    wanted, got = [to_text(part) for part in parts], to_text(printed)
    if _fits(wanted, got):
        return None
    return "expected:\n  " + "\n  ...\n  ".join(wanted) + f"\nprinted:\n  {got}"


def to_text(lines: list[str]) -> str:
    """The form of several lines, as one."""
    return to_form(" ".join(" ".join(join_ids(lines)).split()))


def _fits(wanted: list[str], got: str) -> bool:
    """Whether the parts stand in the text, in order, the first at its beginning and the last at its end."""
    if len(wanted) == 1:
        return wanted[0] == got
    first, *middle, last = wanted
    place = len(first)
    for part in middle:
        found = got.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return got.startswith(first) and got.endswith(last) and place + len(last) <= len(got)


class Terminal:
    """A bash in a pseudo-terminal of a width, whose variables last from one command to the next."""

    def __init__(self, folder: Path, environment: dict[str, str], width: int = WIDTH) -> None:
        self.folder, self.width = folder, width
        self.environment = {**environment, "TERM": "xterm", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}

    def run(self, command: str) -> tuple[int, list[str]]:
        """Exit code, and the lines that stay on the screen."""
        variables = self.folder / _ENVIRONMENT_FILE
        script = f"{command}\nstatus=$?\nenv -0 > {variables}\nexit $status"
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, self.width, 0, 0))
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)
        try:
            output = b"".join(_read_all(leader, process))
        finally:
            os.close(leader)
        code = process.wait()
        pairs = (entry.split("=", 1) for entry in variables.read_text().split("\0") if "=" in entry)
        self.environment = dict(pairs)  # type: ignore[arg-type]
        return code, to_screen(output.decode())


def _read_all(leader: int, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    deadline = time.monotonic() + COMMAND_SECONDS_MAX
    while True:
        if time.monotonic() > deadline:
            process.kill()
            raise TimeoutError(f"{process.args} takes longer than {COMMAND_SECONDS_MAX} s")
        # A node that was started in the background has no part of this terminal.
        if not select.select([leader], [], [], 0.2)[0]:
            if process.poll() is not None:
                return
            continue
        try:
            data = os.read(leader, 2**16)
        except OSError:  # how Linux says that nobody holds the other end
            return
        if not data:
            return
        yield data


def to_screen(text: str) -> list[str]:
    """The lines that stay: progress lines were wiped by those after them."""
    lines = text.replace("\r\n", "\n").split("\n")
    shown = [line.rpartition("\x1b[K")[2] if "\x1b[K" in line else line.rpartition("\r")[2] for line in lines]
    return [line.rstrip() for line in shown[:-1] + [line for line in shown[-1:] if line]]


def build_environment(folder: Path) -> dict[str, str]:
    """The variables of a shell that has `vidya` on its path and no network of the tester's."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    script = tools / "vidya"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m cli.main "$@"\n')
    script.chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("VIDYA_")}
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder)}


def record(guide: str, terminal: Terminal) -> None:
    """Runs a guide and writes down what its commands print at another width."""
    lines = []
    for step in [step for block in list_blocks(guide) for step in block]:
        code, printed = terminal.run(step.command)
        assert code == 0, f"{step.command}: {printed}"
        shown = [line.replace(f"{terminal.folder}/", "") for line in printed]
        lines += [f"$ {step.command}", *([ANYTHING] if ANYTHING in step.printed else shown)]
    get_golden(guide, terminal.width).write_text("\n".join(lines) + "\n")


def rewrite(guide: str, terminal: Terminal) -> None:
    """Runs a guide and writes into it what its commands print."""
    path = get_path(guide)

    def fill(match: re.Match[str]) -> str:
        lines = []
        for command, expected in parse_block(match[1]):
            code, printed = terminal.run(command)
            assert code == 0, f"{command}: {printed}"
            is_new = find_difference(expected, printed) is not None
            shown = [line.replace(f"{terminal.folder}/", "") for line in printed] if is_new else expected
            lines += [f"$ {command}", *shown]
        return "```console\n" + "\n".join(lines) + "\n```\n"

    path.write_text(_FENCE.sub(fill, path.read_text()))


def main(words: list[str]) -> None:
    """Runs guides on a devnet of their own, and ends it."""
    width = next((int(word) for word in words if word.isdecimal()), WIDTH)
    guides = [word for word in words if not word.isdecimal()] or list(GUIDES)
    write = rewrite if width == WIDTH else record
    with tempfile.TemporaryDirectory(prefix="guide-") as folder:
        terminal = Terminal(Path(folder), build_environment(Path(folder)), width)
        prepare(Path(folder))
        try:
            for guide in guides:
                if guide != "first-run":
                    terminal.run("vidya devnet up --dir demo --detach; export $(cat demo/env)")
                write(guide, terminal)
        finally:
            for home in ("demo/nodes/*", "fred-home"):
                terminal.run(f"for home in {home}; do vidya node stop --home $home; done")


def prepare(folder: Path) -> None:
    """What a guide says that the reader has: a file of calls, a folder of random bytes."""
    (folder / "noise").mkdir(exist_ok=True)
    (folder / "noise" / "noise.bin").write_bytes(random.Random(1).randbytes(2**18))
    (folder / "calls.json").write_text('[{"call": "balances.burn_own", "arguments": {"amount": 1}}]\n')


if __name__ == "__main__":
    main(sys.argv[1:])
