"""What `vidya join` settles before a node runs: how it gets its store."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from chain.genesis import format_chain_spec
from cli.commands.join import check_trust, prepare_home, set_sync
from cli.errors import UsageFault
from node.home.config import load_config
from node.home.home import Home
from tests.node.cluster import Person, build_cluster_spec

TRUST = "12:" + "ab" * 32


def test_a_block_to_trust_is_height_and_hash() -> None:
    """Anything else is refused before a folder is made; who replays trusts no block."""
    assert check_trust("", full=False) == check_trust("", full=True) == ""
    assert check_trust(TRUST.upper(), full=False) == TRUST
    for text in ("12", "12:", "12:abc", ":" + "ab" * 32, TRUST + "0", "-1:" + "ab" * 32):
        with pytest.raises(UsageFault):
            check_trust(text, full=False)
    with pytest.raises(UsageFault):
        check_trust(TRUST, full=True)


def test_another_try_may_name_another_block_until_there_is_a_store(tmp_path: Path) -> None:
    """A wrong block ends the node before it has a store; the next `join` puts it right."""
    chain = tmp_path / "chain.json"
    chain.write_bytes(format_chain_spec(build_cluster_spec(1)))
    settings = SimpleNamespace(home=tmp_path / "home")

    def join(**sync: object) -> Home:
        home = prepare_home(settings, chain, Person(3), None, 0, {"disk_bytes": 7, **sync})  # type: ignore[arg-type]
        set_sync(home, sync)
        return home

    home = join(state_sync=True, trust=TRUST)
    assert load_config(home.config_file).trust == TRUST
    join(state_sync=False, trust="")
    config = load_config(home.config_file)
    assert (config.state_sync, config.trust, config.disk_bytes) == (False, "", 7)
    home.store.mkdir()
    join(state_sync=True, trust=TRUST)
    assert load_config(home.config_file) == config
