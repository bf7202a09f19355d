"""`vidya doctor` on damaged folders: each file that is wrong is named, with what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chain.genesis import format_chain_spec
from cli.health.doctor import check_home
from cli.main import app
from cli.nodes.homes import build_config, create_home
from node.home.home import Home
from tests.node.cluster import build_cluster_spec

Damage = Callable[[Home], object]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The folder of a node that does not run."""
    spec = build_cluster_spec(1)
    return create_home(tmp_path / "home", format_chain_spec(spec), build_config(spec, None, 7799, {}))


def test_a_whole_folder_is_well(home: Home) -> None:
    """Nothing is found where nothing is damaged."""
    assert all(one.is_ok for one in check_home(home))


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("chain spec", lambda home: home.chain_file.write_text("{")),
        ("chain spec", lambda home: home.chain_file.write_bytes(b"\xff")),
        ("chain spec", lambda home: home.chain_file.unlink()),
        ("settings", lambda home: home.config_file.write_text("api_port = ")),
        ("settings", lambda home: home.config_file.write_text("colour = 3")),
        ("settings", lambda home: home.config_file.write_bytes(b"\xff")),
        ("own keys open", lambda home: home.password_file.unlink()),
        ("own keys open", lambda home: home.password_file.write_bytes(b"\xff")),
        ("own keys open", lambda home: (home.keys / "network.json").write_text("{")),
        ("own keys open", lambda home: (home.keys / "beacon.json").unlink()),
        ("secrets are private", lambda home: home.token_file.chmod(0o644)),
    ],
)
def test_each_damage_is_named_with_what_to_do(home: Home, check: str, damage: Damage) -> None:
    """One finding for one damage, which names the file or its folder; the other files are looked at too."""
    damage(home)
    wrong = [one for one in check_home(home) if not one.is_ok]
    assert [one.check for one in wrong] == [check]
    assert str(home.path) in wrong[0].found + wrong[0].next and wrong[0].next
    result = CliRunner().invoke(app, ["doctor", "--home", str(home.path), "-o", "json"])
    assert result.exit_code == 1 and not isinstance(result.exception, UnicodeError)
    assert f'"check": "{check}"' in result.stdout
