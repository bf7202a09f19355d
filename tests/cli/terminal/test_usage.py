"""Mistakes on the command line: said in one form, as JSON too, with what was probably meant."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.terminal.output import Format
from cli.terminal.usage import find_format


@pytest.mark.parametrize(
    "arguments",
    [
        ["tx", "send", "bob", "-1", "--from", "alice", "-y"],
        ["search", "--limit", "0"],
        ["tx", "nosuch"],
        ["wallet", "show"],
        ["publish", "nowhere"],
        ["nosuch"],
        ["status", "--nosuch"],
        ["status", "--api", "127.0.0.1:7780"],
        ["status", "--api", "http://xn--/"],
        ["status", "--api", "http://.."],
        ["status", "--api", "ftp://x"],
    ],
)
def test_usage_errors_are_json_where_json_is_asked_for(arguments: list[str]) -> None:
    """stderr is one JSON object with the code `usage`, the exit code is 2."""
    result = CliRunner().invoke(app, [*arguments, "-o", "json"])
    told = json.loads(result.stderr)["error"]
    assert (result.exit_code, told["code"]) == (2, "usage") and told["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tx", "sned", "bob", "1"], "did you mean send?"),
        (["serach"], "did you mean search?"),
        (["status", "--wach"], "did you mean --watch"),
        (["tx", "send", "bob", "-1"], "below zero"),
        (["status", "--api", "127.0.0.1:7780"], "write http://127.0.0.1:7780"),
    ],
)
def test_what_was_meant_is_suggested(arguments: list[str], said: str) -> None:
    """A misspelt verb or option names the one that is near; a number below zero is no option."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and said in result.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-o", "json", "x"], Format.JSON),
        (["x", "-ojsonl"], Format.JSONL),
        (["x", "--output=json"], Format.JSON),
        (["x", "-o"], Format.TABLE),
        (["x", "-o", "yaml"], Format.TABLE),
        ([], Format.TABLE),
    ],
)
def test_format_is_found_on_any_line(
    words: list[str], expected: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the option is written, also on a line that cannot be parsed."""
    monkeypatch.delenv("VIDYA_OUTPUT", raising=False)
    assert find_format(words) is expected


def run(script: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", script, "-", sys.executable],
        env={**os.environ, **variables},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    "script",
    [
        "\"$1\" -m cli.main search $'\\377'",
        '"$1" -m cli.main wallet list --home /nonexistent <&-',
        '"$1" -m cli.main status --api http://..',
        'VIDYA_HOME="~nosuchuser/x" "$1" -m cli.main wallet list',
        '"$1" -m cli.main wallet list --home /nonexistent >&- 2>&-',
    ],
)
def test_odd_text_and_closed_streams_are_no_traceback(script: str) -> None:
    """Text that is not UTF-8, an unknown user, and streams that are closed end with a message at most."""
    ended = run(script)
    assert b"Traceback" not in ended.stderr and ended.returncode in (0, 2)


def test_a_terminal_without_a_letter_shows_its_number() -> None:
    """An ASCII terminal gets an escape in place of the letter, and JSON stays JSON."""
    code = "from cli.terminal.streams import prepare_streams as p; p(); from cli.terminal.output import *; "
    for kind, expected in (("TABLE", b"title  \\u0416\n"), ("JSONL", b'{"title":"\\u0416"}\n')):
        script = f'"$1" -c "{code} emit(dict(title=\'\\u0416\'), Format.{kind})"'
        assert run(script, PYTHONIOENCODING="ascii").stdout == expected
