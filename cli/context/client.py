"""The client of the HTTP API: paths in, JSON out, failures as `CliError`.

Error codes of the API pass through unchanged. Control routes get the node's token, if its home is at hand.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from cli.context.urls import check_url
from cli.errors import CliError, RequestRefused
from cli.exits import ExitCode

CONNECT_SECONDS_MAX = 3.0
READ_SECONDS_MAX = 30.0
ANSWER_BYTES_MAX = 64 * 2**20
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_EXITS = {
    401: ExitCode.NOT_ALLOWED,
    403: ExitCode.NOT_ALLOWED,
    404: ExitCode.NOT_FOUND,
    410: ExitCode.NOT_FOUND,
}


class Client:
    """One node. Holds no connection between two requests, so there is nothing to close."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = check_url(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON at a path."""
        wanted = {key: value for key, value in parameters.items() if value is not None}
        return self._ask("GET", path, params=wanted)

    def post(self, path: str, body: Any, *, seconds_max: float = READ_SECONDS_MAX) -> Any:
        """The answer to a JSON body."""
        return self._ask("POST", path, json=body, timeout=seconds_max)

    def delete(self, path: str) -> Any:
        """The answer to a deletion."""
        return self._ask("DELETE", path)

    def stream_lines(self, path: str, **parameters: Any) -> Iterator[str]:
        """The lines of an event stream, until it ends."""
        wanted = {key: value for key, value in parameters.items() if value is not None}
        with self._open(None) as http, http.stream("GET", path, params=wanted) as answer:
            if answer.is_error:
                answer.read()
                raise build_refusal(answer)
            yield from answer.iter_lines()

    def _ask(self, method: str, path: str, *, timeout: float = READ_SECONDS_MAX, **details: Any) -> Any:
        with self._open(timeout) as http, http.stream(method, path, **details) as stream:
            answer = self._read(stream)
        if answer.is_error:
            raise build_refusal(answer)
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:
            raise self._build_unreachable("what answers there is no vidya node") from error

    def _read(self, stream: httpx.Response) -> httpx.Response:
        """The answer with its whole body, which has a bound: the node is not trusted."""
        body = bytearray()
        for part in stream.iter_bytes():
            body += part
            if len(body) > ANSWER_BYTES_MAX:
                raise self._build_unreachable(f"it answers more than {ANSWER_BYTES_MAX} bytes")
        return httpx.Response(stream.status_code, content=bytes(body), request=stream.request)

    @contextmanager
    def _open(self, timeout: float | None) -> Iterator[httpx.Client]:
        """A connection; failures of the transport become `unreachable`."""
        try:
            with httpx.Client(
                base_url=self.url,
                headers=self._headers,
                timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS_MAX),
                trust_env=False,
                # Without TLS the certificates need not be loaded, which takes longer than the request.
                verify=self.url.startswith("https:"),
            ) as http:
                yield http
        except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:
            raise self._build_unreachable(describe_failure(error)) from error

    def _build_unreachable(self, why: str) -> CliError:
        return CliError("unreachable", f"no answer from {self.url}: {why}", status=ExitCode.UNREACHABLE)


def describe_failure(error: Exception) -> str:
    """Why a request found no answer, without the number of the system's error."""
    return _ERRNO.sub("", str(error)) or type(error).__name__


def build_refusal(answer: httpx.Response) -> CliError:
    """The API's own error; `{"error": {"code", "message", "hint"}}`."""
    try:
        told = answer.json()["error"]
        code, message, hint = str(told["code"]), str(told["message"]), str(told.get("hint") or "")
    except (ValueError, KeyError, TypeError):
        code, message, hint = (
            "unreachable",
            f"{answer.url} answers {answer.status_code}, not as a vidya node",
            "",
        )
    refused = RequestRefused(code, message, hint)
    if answer.status_code in _EXITS and refused.exit is ExitCode.REJECTED:
        refused.exit = _EXITS[answer.status_code]
    if answer.status_code >= 500 and code != "not_synced":
        refused.exit = ExitCode.FAILURE
    return refused
