"""Streams, formats, exit codes, options that stand anywhere, and what the command does not load."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.errors import HINTS, CliError, RequestRefused, explain
from cli.exits import ExitCode, get_exit
from cli.main import VERBS, app
from cli.terminal.output import Format, emit
from cli.terminal.wording import format_count
from node.keys.keystore import KeyNotFound, WrongPassword

HEAVY = ("trio", "libp2p", "plyvel", "fastapi", "hypercorn", "httpx", "chain.runtime", "structlog")


def run_python(code: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


def list_loaded(arguments: list[str]) -> set[str]:
    """Modules in use once a command has answered."""
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom cli.main import app\n"
        f"result = CliRunner().invoke(app, {arguments!r})\nassert result.exit_code == 0, result.output\n"
        "print('\\n'.join(sys.modules))"
    )
    return set(run_python(code).splitlines())


def test_help_loads_nothing_heavy() -> None:
    """`vidya --help` answers at once: no event loop, network, store, server or state machine is imported."""
    assert not list_loaded(["--help"]) & set(HEAVY)


def test_wallet_loads_neither_network_nor_store(tmp_path: Path) -> None:
    """Keys are handled without libp2p and LevelDB in the process."""
    assert not list_loaded(["wallet", "list", "--home", str(tmp_path)]) & {"libp2p", "plyvel", "trio"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    """Each verb of the list exists and says what it does."""
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0 and "Usage: " in result.output


@pytest.mark.parametrize(
    "command",
    ["devnet up", "devnet logs", "query hosts", "query datums", "wallet new", "join", "search", "chain new"],
)
def test_help_explains_each_option_in_words(command: str) -> None:
    """An option takes a NUMBER, TEXT or a PATH, not an `<int range>`, and says what it is for."""
    result = CliRunner().invoke(app, [*command.split(), "--help"], terminal_width=200)
    options = [line.strip() for line in result.output.splitlines() if line.startswith("  -")]
    own = [line for line in options if not line.startswith(("-o,", "--help"))]
    assert own and not [
        line
        for line in own
        if "<int" in line or "<str" in line or "<path" in line or not re.search(r"  +[A-Z\d]", line)
    ]


def test_result_and_remarks_have_streams_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON on stdout is the data and nothing else, and the same for one record and for many."""
    emit([{"id": "a", "amount": 1}], Format.JSON)
    assert json.loads(capsys.readouterr().out) == [{"id": "a", "amount": 1}]
    emit([{"id": "a"}, {"id": "b"}], Format.JSONL)
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["a", "b"]
    emit([], Format.TABLE, ("id",))
    empty = capsys.readouterr()
    assert empty.out == "" and empty.err


def test_exit_codes_are_fixed() -> None:
    """Scripts branch on these numbers."""
    assert [(code.name, code.value) for code in ExitCode] == [
        ("OK", 0),
        ("FAILURE", 1),
        ("USAGE", 2),
        ("UNREACHABLE", 3),
        ("NOT_SYNCED", 4),
        ("INSUFFICIENT_FUNDS", 5),
        ("REJECTED", 6),
        ("OUTCOME_UNKNOWN", 7),
        ("NOT_FOUND", 8),
        ("NOT_ALLOWED", 9),
        ("NOT_PROVEN", 10),
        ("DIVERGENCE", 11),
        ("DISK_FAILED", 12),
    ]


def test_codes_that_decide_are_codes_of_the_chain() -> None:
    """Every code with an exit code or a hint of its own exists in the state machine, the API or the CLI."""
    from chain.modules.schedule import MODULES

    known = {error.code for module in MODULES for error in module.errors.values()}
    named = [code for code in (*HINTS, *_codes_with_exits()) if "." in code]
    assert named and [code for code in named if code not in known] == []


def _codes_with_exits() -> list[str]:
    from cli import exits

    return list(exits._BY_CODE)


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (RequestRefused("balances.insufficient_balance", "x"), "balances.insufficient_balance", 5),
        (RequestRefused("sessions.overdraft", "x"), "sessions.overdraft", 6),
        (KeyNotFound("x"), "key_not_found", 8),
        (WrongPassword("x"), "wrong_password", 9),
        (FileNotFoundError(2, "No such file", "x"), "system", 1),
        (CliError("unreachable", "x", status=ExitCode.UNREACHABLE), "unreachable", 3),
    ],
)
def test_failures_keep_their_code(error: Exception, code: str, status: int) -> None:
    """An error is told under the code of the layer that raised it, with the exit code of its kind."""
    told = explain(error)
    assert (told.code, int(told.exit)) == (code, status)


def test_unknown_codes_are_rejections() -> None:
    """A code that nobody thought of is still no success."""
    assert get_exit("something.new") is ExitCode.REJECTED


@pytest.mark.parametrize("arguments", [["-o", "json", "wallet", "list"], ["wallet", "list", "-o", "json"]])
def test_options_count_wherever_they_stand(arguments: list[str], tmp_path: Path) -> None:
    """Before the verb and after it, an option means the same."""
    result = CliRunner().invoke(app, [*arguments, "--home", str(tmp_path)])
    assert result.exit_code == 0 and json.loads(result.stdout) == []


def test_unreachable_node_has_its_exit_code_and_a_next_step() -> None:
    """Nobody answers: exit 3, and the error says what to do, as JSON where JSON was asked for."""
    result = CliRunner().invoke(app, ["status", "--api", "http://127.0.0.1:9", "-o", "json"])
    told = json.loads(result.stderr)["error"]
    assert result.exit_code == 3 and told["code"] == "unreachable" and "vidya node start" in told["hint"]


def test_nothing_is_coloured_for_a_file() -> None:
    """Output that is no terminal has no escape sequences."""
    result = CliRunner().invoke(app, ["status", "--api", "http://127.0.0.1:9"])
    assert "\x1b" not in result.output


def test_version_is_said() -> None:
    """`--version` answers without loading anything heavy."""
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0 and re.fullmatch(r"vidya \S+\n", result.stdout)


@pytest.mark.parametrize(
    ("line", "expected"),
    [("vidya wal", "wallet"), ("vidya tx sen", "send"), ("vidya tx send --from al", "alice")],
)
def test_completion_completes(line: str, expected: str, tmp_path: Path) -> None:
    """What a shell asks for: verbs, calls, and names of keys."""
    (tmp_path / "wallet").mkdir()
    (tmp_path / "wallet" / "alice.json").touch()
    code = "from cli.main import main; main()"
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    found = run_python(code, VIDYA_HOME=str(tmp_path), _VIDYA_COMPLETE="complete_bash", **words)
    assert found.split() == [expected]


NOUNS = "nodes|datums|files|hosts|peers|validators|headers|chunks|entries|leaves|eras|reports"
COUNTED = re.compile(rf"(?<! of )\{{(?!sender)[^{{}}\"]+\}} ({NOUNS})\b")


def test_things_are_counted_in_words(repository: Path) -> None:
    """One node, not 1 nodes: what is counted goes through `format_count`, but for `3 of 4 nodes`."""
    sources = (repository / "cli").rglob("*.py")
    assert [found[0] for path in sources for found in COUNTED.finditer(path.read_text())] == []
    assert [format_count(count, "leaf") for count in (0, 1, 2)] == ["0 leaves", "1 leaf", "2 leaves"]
