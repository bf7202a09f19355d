"""Errors of the API, and how every expected failure becomes an answer.

ApiError(code, message, hint)     answered with its status
├── BadRequest        400   the request is malformed
├── NotAuthorised     401   a control route without this node's token
├── HostRefused       403   the Host header names somebody else: DNS rebinding
├── NotFound          404   nothing of that name is here
├── RequestTimeout    408   the body did not arrive in time
├── Gone              410   it was here and has been pruned
├── BodyTooLarge      413
├── TooManyRequests   429   rate or concurrency; asking again later helps
└── NotReady          503   the node cannot answer yet

Errors of the chain are 400 with their own code, those of the content store 404 or 409 (`_STATUS_OF`).
Anything else is a bug: `boundary.py` logs it and answers 500.
"""

from typing import ClassVar

from chain.commitment import UnknownVersion
from chain.errors import ChainError, InvalidTransaction
from chain.module import snake_case
from node.content.types import OrderRefused
from storage.content.errors import (
    ChunkMissing,
    ExportConflict,
    QuotaExceeded,
    SourceChanged,
    SourceGone,
    SourceRefused,
    UnknownDatum,
)
from storage.errors import DiskFailed, DiskFull

MESSAGE_CHARS_MAX = 500
ErrorBody = dict[str, dict[str, str]]


class ApiError(Exception):
    """A refusal with its code, message and hint."""

    status: ClassVar[int] = 400

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class BadRequest(ApiError):
    """The request is malformed."""


class NotAuthorised(ApiError):
    """Needs this node's token."""

    status = 401


class HostRefused(ApiError):
    """The request was meant for another host name."""

    status = 403


class NotFound(ApiError):
    """Nothing of that name is here."""

    status = 404


class RequestTimeout(ApiError):
    """The body did not arrive in time."""

    status = 408


class Gone(ApiError):
    """It was here and has been pruned."""

    status = 410


class BodyTooLarge(ApiError):
    """More bytes than any request needs."""

    status = 413


class TooManyRequests(ApiError):
    """Rate or concurrency."""

    status = 429


class NotReady(ApiError):
    """The node cannot answer yet."""

    status = 503


_STATUS_OF: dict[type[Exception], int] = {
    ChainError: 400,
    UnknownVersion: 410,
    UnknownDatum: 404,
    ChunkMissing: 409,
    DiskFull: 507,
    DiskFailed: 503,
    ExportConflict: 409,
    OrderRefused: 409,
    QuotaExceeded: 409,
    SourceChanged: 409,
    SourceGone: 409,
    SourceRefused: 409,
}
EXPECTED = tuple(_STATUS_OF)


def build_answer(error: Exception) -> tuple[int, ErrorBody]:
    """Status and body for an expected failure."""
    if isinstance(error, ApiError):
        return error.status, build_body(error.code, error.message, error.hint)
    status = next(status for kind, status in _STATUS_OF.items() if isinstance(error, kind))
    code = error.code if isinstance(error, InvalidTransaction) else snake_case(type(error).__name__)
    return status, build_body(code, str(error))


def build_body(code: str, message: str, hint: str = "") -> ErrorBody:
    """The one form of every error; `code` is the same string in CLI, API and docs."""
    return {"error": {"code": code, "message": message[:MESSAGE_CHARS_MAX], "hint": hint}}
