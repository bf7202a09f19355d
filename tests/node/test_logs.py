"""Logs: form, levels, and what is never written."""

import io
import json
import logging

import pytest
import structlog

from node.logs import configure_logs


@pytest.fixture(autouse=True)
def _restore():
    yield
    structlog.reset_defaults()
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)


def test_json_lines_hide_secrets_and_shorten_bytes() -> None:
    """A line is one JSON object; values under names of secrets are gone, long bytes are cut."""
    out = io.StringIO()
    configure_logs(is_json=True, stream=out)
    structlog.get_logger("x").info(
        "hello", password="pw-1", voucher_secret=b"pw-2", datum=b"d" * 32, peer=b"\x01", height=3
    )
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"], line["height"]) == ("hello", "info", 3)
    assert (line["datum"], line["peer"]) == ("6464646464646464..", "01")
    assert "pw-" not in out.getvalue() and "timestamp" in line


def test_levels() -> None:
    """What is below the level is not written; an unknown level is refused."""
    out = io.StringIO()
    configure_logs("warning", stream=out)
    structlog.get_logger("x").info("quiet")
    structlog.get_logger("x").warning("loud")
    assert "loud" in out.getvalue() and "quiet" not in out.getvalue()
    with pytest.raises(ValueError, match="none of"):
        configure_logs("chatty")


def test_tracebacks_show_no_variables() -> None:
    """An exception is written with its lines, not with the values of local variables."""
    out = io.StringIO()
    configure_logs(stream=out)
    passphrase = "horse" + "battery"
    try:
        raise KeyError("where")
    except KeyError:
        structlog.get_logger("x").exception("oops")
    assert "KeyError" in out.getvalue() and passphrase not in out.getvalue()


def test_libraries_speak_through_the_same_door() -> None:
    """Warnings of libraries are logged in our form; their debug messages are not."""
    out = io.StringIO()
    configure_logs(is_json=True, stream=out)
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("odd %s", "thing")
    (line,) = out.getvalue().splitlines()
    assert json.loads(line)["event"] == "odd thing" and json.loads(line)["logger"] == "some.library"
