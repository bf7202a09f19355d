"""Structured logs on stderr, by structlog: readable lines, or JSON lines if configured.

Bytes are written as hex and shortened, values under names of secrets are never written. Warnings and errors
that libraries log by `logging` come out the same way.
"""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any, TextIO, cast

import structlog

LEVELS = ("debug", "info", "warning", "error")
SECRET_WORDS = ("password", "secret", "token", "mnemonic", "seed", "private")
TEXT_CHARS_MAX = 2_000
BYTES_SHOWN = 8
Event = MutableMapping[str, Any]


def configure_logs(
    level: str = "info", *, is_json: bool = False, name: str = "", stream: TextIO | None = None
) -> None:
    """Set up logging for the process; raises ValueError for an unknown level. `name` is in each line."""
    if level not in LEVELS:
        raise ValueError(f"log level {level!r} is none of {', '.join(LEVELS)}")
    out = _Unfailing(stream or sys.stderr)
    structlog.configure(
        processors=[
            partial(_add_name, name),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            hide_secrets,
            structlog.processors.format_exc_info if is_json else _pass,
            structlog.processors.JSONRenderer() if is_json else _build_console(out),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, out)),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[Forwarder()], level=logging.WARNING, force=True)


class _Unfailing:
    """A stream that swallows write errors: a full disk under the log must not end the node."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text, or what fits of it."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes; a failure is ignored."""
        with suppress(OSError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether people are reading."""
        return self._stream.isatty()


def _build_console(out: _Unfailing) -> structlog.dev.ConsoleRenderer:
    """The console renderer, with plain tracebacks: rich ones print local variables, which may be keys."""
    return structlog.dev.ConsoleRenderer(
        colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def hide_secrets(logger: object, method: str, event: Event) -> Event:
    """Shorten bytes and long texts, and blank whatever has the name of a secret."""
    for key, value in event.items():
        if key != "exc_info":
            event[key] = _clean(key, value)
    return event


def _clean(key: str, value: object) -> object:
    if any(word in key.lower() for word in SECRET_WORDS):
        return "(hidden)"
    if isinstance(value, bytes):
        return value.hex() if len(value) <= BYTES_SHOWN else f"{value[:BYTES_SHOWN].hex()}.."
    if isinstance(value, str) and len(value) > TEXT_CHARS_MAX:
        return value[:TEXT_CHARS_MAX] + ".."
    return value


def _add_name(name: str, logger: object, method: str, event: Event) -> Event:
    return {**event, "node": name} if name else event


def _pass(logger: object, method: str, event: Event) -> Event:
    return event


class Forwarder(logging.Handler):
    """Passes log records of `logging` to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """One message of a library."""
        structlog.get_logger(record.name).log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info
        )
