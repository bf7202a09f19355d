"""The HTTP API as the CLI sees it: paths in, JSON out, failures as `CliError`.

Error codes of the API pass through unchanged. Control routes get the node's token, if its home is at hand.
"""

from collections.abc import Iterator
from typing import Any

import httpx

from cli.errors import CliError, Refused
from cli.exits import Exit

CONNECT_SECONDS_MAX = 3.0
READ_SECONDS_MAX = 30.0
ANSWER_BYTES_MAX = 64 * 2**20
_EXITS = {401: Exit.NOT_ALLOWED, 403: Exit.NOT_ALLOWED, 404: Exit.NOT_FOUND, 410: Exit.NOT_FOUND}


class Client:
    """One node."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        limits = httpx.Timeout(READ_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=limits, trust_env=False)
        except (httpx.InvalidURL, ValueError) as error:
            raise CliError("usage", f"{url!r} is no URL: {error}", status=Exit.USAGE) from error

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
        with self._failing(), self._http.stream("GET", path, params=wanted, timeout=None) as answer:
            if answer.is_error:
                answer.read()
                raise build_refusal(answer)
            yield from answer.iter_lines()

    def _ask(self, method: str, path: str, **details: Any) -> Any:
        with self._failing():
            answer = self._http.request(method, path, **details)
        if answer.is_error:
            raise build_refusal(answer)
        try:
            return answer.json()
        except ValueError as error:
            raise self._unreachable("what answers there is no vidya node") from error

    def _failing(self) -> "_Failing":
        return _Failing(self)

    def _unreachable(self, why: str) -> CliError:
        return CliError("unreachable", f"no answer from {self.url}: {why}", status=Exit.UNREACHABLE)


class _Failing:
    """Turns failures of the transport into `unreachable`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx.TransportError | httpx.InvalidURL):
            raise self._client._unreachable(str(error) or type(error).__name__) from error


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
    refused = Refused(code, message, hint)
    if answer.status_code in _EXITS and refused.exit is Exit.REJECTED:
        refused.exit = _EXITS[answer.status_code]
    if answer.status_code >= 500 and code != "not_synced":
        refused.exit = Exit.FAILURE
    return refused
