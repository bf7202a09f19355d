"""The configuration file: defaults, what is refused, and what is written back."""

from pathlib import Path

import pytest

from node.home.config import CONFIG_BYTES_MAX, ConfigError, NodeConfig, format_config, load_config


def write(tmp_path: Path, text: str | bytes) -> Path:
    """A file with this text."""
    path = tmp_path / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_without_a_file_all_is_at_its_default(tmp_path: Path) -> None:
    """And a default has no line."""
    assert load_config(tmp_path / "none") == NodeConfig()
    assert load_config(write(tmp_path, format_config(NodeConfig()))) == NodeConfig()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Text with quotes and umlauts, lists, numbers and truth values."""
    config = NodeConfig(
        name='a "node" ü',
        account="vdev1x",
        api_port=8080,
        seeds=["/ip4/10.0.0.1/tcp/1/p2p/x", "/dns/example.org/tcp/2/p2p/y"],
        disk_bytes=10**12,
        upload_bytes_per_second=5,
        blocks_kept=1_000,
        log_json=True,
    )
    assert load_config(write(tmp_path, format_config(config))) == config


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nmae = 'x'", "unknown field"),
        ("api_port = 65536", "65535"),
        ("api_port = -1", ">= 0"),
        ("api_port = '80'", "int"),
        ("disk_bytes = 1e9", "int"),
        ("seeds = 'x'", "array"),
        ("name = ,", "line 1"),
        ("name = 'x'\nname = 'y'", "overwrite"),
        (b"name = '\xff'", "utf-8"),
        ("#" * (CONFIG_BYTES_MAX + 1), "larger than"),
        ("api_host = '0.0.0.0'", "unsafe_public_api"),
        ("api_host = '192.168.0.5'", "unsafe_public_api"),
    ],
)
def test_a_mistake_is_refused_and_says_where(tmp_path: Path, text: str | bytes, reason: str) -> None:
    """The file is named, and so is what is wrong."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


def test_a_public_api_must_be_meant(tmp_path: Path) -> None:
    """Loopback needs no word; anything else needs one."""
    for host in ("127.0.0.1", "::1", "localhost"):
        assert load_config(write(tmp_path, f"api_host = '{host}'")).api_host == host
    text = "api_host = '0.0.0.0'\nunsafe_public_api = true"
    assert load_config(write(tmp_path, text)).api_host == "0.0.0.0"
