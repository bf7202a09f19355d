"""Every command that the documents show exists: make targets, and commands and options of `vidya`.

A line of a fenced `console` or `sh` block is a command; where a block has lines that begin with `$`, only
those are. They are not run here: the devnet's end-to-end test does that for the main ones.
"""

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```(?:console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z0-9-]+):", re.MULTILINE)
ELSEWHERE = frozenset(("cd", "curl", "export", "git", "sudo", "uv"))
"""First words of commands that are not ours."""


def find_commands(text: str) -> Iterator[str]:
    for block in FENCE.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        for line in lines:
            yield from (part.strip() for part in re.split(r"&&|\|", line.split(" #")[0]) if part.strip())


def find_shown_commands() -> Iterator[tuple[str, str]]:
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]:
        for command in find_commands(path.read_text()):
            yield path.relative_to(ROOT).as_posix(), command


def why_unknown(command: str) -> str | None:
    """What is wrong with a command line, None if nothing is."""
    words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    program, arguments = Path(words[0]).name, words[1:]
    if program == "make":
        unknown = set(arguments) - set(TARGET.findall((ROOT / "Makefile").read_text()))
        return f"no target {unknown}" if unknown else None
    if program == "vidya":
        return why_not_vidya(arguments)
    return None if program in ELSEWHERE else f"no command of ours: {program}"


def why_not_vidya(arguments: list[str]) -> str | None:
    """`--help` behind a command line is answered if every command and option before it exists."""
    if find_spec("cli.main") is None:
        return "there is no cli.main"
    result = CliRunner().invoke(import_module("cli.main").app, [*arguments, "--help"])
    return result.output if result.exit_code else None


@pytest.mark.parametrize(("document", "command"), list(find_shown_commands()))
def test_shown_command_exists(document: str, command: str) -> None:
    """A reader can type what the documents show."""
    assert why_unknown(command) is None


def test_commands_are_found_in_blocks() -> None:
    """Prompts, continued lines, comments, pipes and output are told apart."""
    text = "```console\n$ make test\n12 passed\n$ vidya get \\\n ID && make lint  # x\n```\n```json\n{}\n```"
    assert list(find_commands(text)) == ["make test", "vidya get   ID", "make lint"]
    assert list(find_commands("```sh\nA=x vidya status | cat\n```\n")) == ["A=x vidya status", "cat"]
    assert any(command == "make test" for _, command in find_shown_commands())


@pytest.mark.parametrize("command", ["make nothing", "make test nothing", "vidya no-such-verb", "rm -rf /"])
def test_unknown_command_is_seen(command: str) -> None:
    """The check notices what does not exist."""
    assert why_unknown(command) is not None
