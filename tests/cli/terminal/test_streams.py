"""The standard streams: a reader that has gone is known to be gone, also after something was said to it."""

import subprocess
import sys

SCRIPT = """
import sys, time
from cli.terminal.streams import is_reader_gone, write_remark
assert not is_reader_gone(sys.stderr)
print("ready", flush=True)
sys.stdin.readline()
if sys.argv[1] == "said":
    write_remark("to nobody")
print(is_reader_gone(sys.stderr), flush=True)
"""


def ask(when: str) -> str:
    """What a process says about the reader of its stderr once that was closed."""
    command = [sys.executable, "-c", SCRIPT, when]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        process.stderr.close()
        return str(process.communicate("go\n")[0]).strip()


def test_a_reader_that_has_gone_is_known_to_be_gone() -> None:
    """Whether or not something was written to it meanwhile."""
    assert [ask("silent"), ask("said")] == ["True", "True"]
