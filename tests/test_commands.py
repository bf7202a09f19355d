"""Every command that the documents show exists: make targets, and commands and options of `vidya`.

A line of a fenced `console` or `sh` block is a command; where a block has lines that begin with `$`, only
those are. They are not run here. The guides and the README are run as printed by `tests/cli/commands/` and
`tests/test_readme.py`; of the other pages each verb is run by some test, which this file checks.
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
GROUPS = frozenset(
    [
        "chain",
        "config",
        "devnet",
        "host",
        "jury",
        "light",
        "lock",
        "node",
        "query",
        "tx",
        "validator",
        "wallet",
    ]
)
"""Verbs that have verbs."""
RUN_AS_PRINTED = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]


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


def list_verbs() -> list[str]:
    """The verbs of `vidya` that documents show, as `node start`."""
    verbs = set()
    for _, command in find_shown_commands():
        if found := re.search(r"\bvidya((?: [a-z][a-z-]*)+)", command):
            verbs.add(" ".join(found[1].split()[: 2 if found[1].split()[0] in GROUPS else 1]))
    return sorted(verbs)


def is_run(verb: str, tests: str) -> bool:
    """Whether a test runs it, as a line of a shell or as a list of arguments."""
    listed = ", ".join(f'"{word}"' for word in verb.split())
    return re.search(rf"vidya {verb}\b|{listed}", tests) is not None


@pytest.mark.parametrize(("document", "command"), list(find_shown_commands()))
def test_shown_command_exists(document: str, command: str) -> None:
    """A reader can type what the documents show."""
    assert why_unknown(command) is None


def test_every_shown_verb_is_run() -> None:
    """By a test of its own, or on a page that is run as printed."""
    sources = [*RUN_AS_PRINTED, *sorted((ROOT / "tests").rglob("*.py"))]
    tests = "\n".join(path.read_text() for path in sources)
    assert len(list_verbs()) > 20
    assert [verb for verb in list_verbs() if not is_run(verb, tests)] == []
    assert not is_run("node start", 'run("node", "stop")') and is_run("node start", 'run("node", "start")')


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
