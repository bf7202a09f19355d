"""Making and deleting a devnet leaves alone what is not its own."""

from pathlib import Path

import pytest
import trio
from typer.testing import CliRunner

from cli.commands.devnet import bring_up
from cli.devnet.plan import Devnet, Options, create, delete, lock_making
from cli.errors import CliError, UsageFault
from cli.main import app
from cli.terminal.options import build_settings
from node.home.config import NodeConfig, format_config
from node.home.profiles import load_profile
from tests.node.api.test_api_server import open_server


@pytest.mark.parametrize("name", ["wallet", "content", "downloads", "nodes"])
def test_no_devnet_is_made_over_other_things(tmp_path: Path, name: str) -> None:
    """A folder that has its own wallet or files is refused and stays as it is."""
    kept = tmp_path / name / "mine"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(CliError) as refused:
        create(Devnet(tmp_path), Options())
    assert refused.value.code == "not_a_devnet" and name in refused.value.message
    assert "reset" not in refused.value.hint
    assert [path.name for path in tmp_path.rglob("*")] == [name, "mine"]


def test_reset_keeps_a_wallet_that_is_no_devnets(tmp_path: Path) -> None:
    """Where no devnet was made or begun, nothing is deleted, even with -y."""
    key = tmp_path / "wallet" / "alice.json"
    key.parent.mkdir()
    key.write_text("{}")
    result = CliRunner().invoke(app, ["devnet", "reset", "--dir", str(tmp_path), "-y"])
    assert result.exit_code != 0 and "no devnet" in result.stderr
    assert key.exists()


def test_what_was_begun_can_be_deleted(tmp_path: Path) -> None:
    """A devnet whose making was killed is refused by `up` and removed whole by `reset`."""
    devnet = Devnet(tmp_path / "demo")
    devnet.wallet.mkdir(parents=True)
    devnet.marker_file.touch()
    with pytest.raises(CliError) as refused:
        create(devnet, Options())
    assert refused.value.code == "unfinished"
    delete(devnet)
    assert not devnet.path.exists()


def test_two_commands_do_not_make_one_folder(tmp_path: Path) -> None:
    """While one makes it, another `up` waits for nothing and deletes nothing, nor does `reset`."""
    devnet = Devnet(tmp_path / "demo")
    devnet.wallet.mkdir(parents=True)
    with lock_making(devnet):
        with pytest.raises(CliError) as refused:
            create(devnet, Options())
        assert refused.value.code == "busy" and "reset" not in refused.value.hint
        result = CliRunner().invoke(app, ["devnet", "reset", "--dir", str(devnet.path), "-y"])
        assert result.exit_code == 1 and "[busy]" in result.stderr
    assert devnet.wallet.is_dir()


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"version": 1}', b'{"nodes": 5}'])
def test_a_damaged_summary_is_named_and_can_be_reset(tmp_path: Path, content: bytes) -> None:
    """Another version's file, or a broken one, ends with its name and the next command, which works."""
    devnet = Devnet(tmp_path / "demo")
    (devnet.path / "nodes" / "node0").mkdir(parents=True)
    devnet.chain_file.write_bytes(b"{}")
    devnet.summary_file.write_bytes(content)
    result = CliRunner().invoke(app, ["devnet", "status", "--dir", str(devnet.path)])
    assert result.exit_code == 1 and str(devnet.summary_file) in result.stderr
    assert f"reset --dir {devnet.path}" in result.stderr
    result = CliRunner().invoke(app, ["devnet", "reset", "--dir", str(devnet.path), "-y"])
    assert result.exit_code == 0 and not devnet.path.exists(), result.stderr


def test_numbers_of_the_chain_spec_can_be_set(tmp_path: Path) -> None:
    """A new devnet has them, all else stays; what is no number of the spec is refused."""
    changes = ("catalogue.unpaid_eras=7", "system.era_epochs=2")
    create(Devnet(tmp_path / "demo"), Options(validators=1, first_port=0, changes=changes))
    profile, spec = load_profile("devnet"), Devnet(tmp_path / "demo").load_spec()
    assert (spec.catalogue.parameters.unpaid_eras, spec.system.parameters.era_epochs) == (7, 2)
    assert spec.juries == profile.juries and spec.fees == profile.fees
    for wrong in (
        "name=x",
        "catalogue.unpaid_eras=-1",
        "catalogue.unpaid=7",
        "membership.gate=1",
        "seeds.a=1",
    ):
        with pytest.raises(UsageFault):
            create(Devnet(tmp_path / "other"), Options(validators=1, first_port=0, changes=(wrong,)))
        assert not Devnet(tmp_path / "other").exists


@pytest.mark.network
async def test_the_node_of_another_network_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    """Where it answers at the port of a node that has ended, `up` says that its own node has stopped."""
    devnet = Devnet(tmp_path / "demo")
    create(devnet, Options(validators=1, first_port=0))
    (home,) = devnet.list_homes()
    async with open_server() as (world, port):
        for _ in range(3):
            world.make_block()
        home.config_file.write_text(format_config(NodeConfig(api_port=port)))
        with pytest.raises(CliError) as ended:
            await trio.to_thread.run_sync(bring_up, devnet, build_settings({}), None)
    assert ended.value.code == "node_stopped"
