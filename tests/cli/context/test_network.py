"""Which node is asked, and how its URL is written."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.context.network import API_URL, find_url
from cli.context.urls import build_url, check_url
from cli.errors import CliError, UsageFault
from cli.terminal.options import build_settings


@pytest.fixture(autouse=True)
def without_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the tester's own network, and a usual home that is empty."""
    monkeypatch.setenv("HOME", str(tmp_path / "usual"))
    for name in ("VIDYA_API", "VIDYA_HOME"):
        monkeypatch.delenv(name, raising=False)


def make_home(path: Path, url: str) -> str:
    (path / "data").mkdir(parents=True)
    (path / "chain.json").write_text("{}")
    (path / "data" / "api-url").write_text(url + "\n")
    return str(path)


@contextmanager
def node_running(home: Path) -> Iterator[None]:
    """A process that says that it runs the node of the home."""
    command = [sys.executable, "-c", "import time; time.sleep(60)", "start", "--home", str(home)]
    with subprocess.Popen(command) as process:
        (home / "data" / "pid").write_text(f"{process.pid}\n")
        try:
            yield
        finally:
            process.kill()


def test_the_order_of_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--api, a home that was typed, VIDYA_API, the node of the usual home, the usual port."""
    home = make_home(tmp_path / "home", "http://127.0.0.1:1")
    assert find_url(build_settings({}))[0] == API_URL
    usual = make_home(tmp_path / "usual" / ".vidya", "http://127.0.0.1:2")
    with node_running(Path(home)), node_running(Path(usual)):
        assert find_url(build_settings({}))[0] == "http://127.0.0.1:2"
        monkeypatch.setenv("VIDYA_API", "http://127.0.0.1:3")
        assert find_url(build_settings({})) == ("http://127.0.0.1:3", "VIDYA_API")
        assert find_url(build_settings({"home": home}))[0] == "http://127.0.0.1:1"
    assert find_url(build_settings({"home": home, "api": "http://127.0.0.1:4"}))[0] == "http://127.0.0.1:4"


def test_another_node_never_answers_for_a_stopped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home whose node does not run, though its notes are there, is an error; a mere wallet is not."""
    stopped = make_home(tmp_path / "stopped", "http://127.0.0.1:1")
    monkeypatch.setenv("VIDYA_HOME", stopped)
    with pytest.raises(CliError, match="no node runs"):
        find_url(build_settings({}))
    monkeypatch.setenv("VIDYA_API", "http://127.0.0.1:3")
    with pytest.raises(CliError) as caught:
        find_url(build_settings({"home": stopped}))
    assert caught.value.code == "not_running" and "vidya node start --home" in caught.value.hint
    (tmp_path / "mere" / "wallet").mkdir(parents=True)
    assert find_url(build_settings({"home": str(tmp_path / "mere")}))[0] == "http://127.0.0.1:3"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_addresses_of_both_kinds_become_urls(host: str, url: str) -> None:
    """An IPv6 address stands in brackets, and the result is a URL that clients read."""
    assert build_url(host, 80) == url and check_url(url + "/") == url


@pytest.mark.parametrize("text", ["", "127.0.0.1:7780", "http://", "http://..", "http://xn--/", "file:///x"])
def test_what_is_no_url_is_refused(text: str) -> None:
    """Before anything is asked."""
    with pytest.raises(UsageFault):
        check_url(text)
