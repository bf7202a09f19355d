"""Files that people name: what is wrong with one is said, and nothing is taken that was not meant."""

from pathlib import Path

import pytest

from cli.context.files import read_json, read_text
from cli.errors import CliError, UsageFault


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    """What an editor put in front is not part of a password or of words."""
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfsecret\n")
    assert read_text(tmp_path / "marked", "password file") == "secret\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"p\xe4ss", "not UTF-8"), (b"\xff\xfea\0", "not UTF-8"), (b"x" * 100, "larger than")],
)
def test_odd_text_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    """The file is named, and what is wrong with it."""
    (tmp_path / "odd").write_bytes(data)
    with pytest.raises(UsageFault, match=said) as caught:
        read_text(tmp_path / "odd", "password file", 50)
    assert "password file" in caught.value.message and "odd" in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No number of the system, but what is missing and for what."""
    with pytest.raises(CliError, match="there is no password file") as caught:
        read_text(tmp_path / "missing", "password file")
    assert "Errno" not in caught.value.message
    with pytest.raises(CliError, match="cannot be read: Is a directory"):
        read_text(tmp_path, "password file")


@pytest.mark.parametrize(
    "text", ['{"amount": 5, "amount": 7}', "{", "[NaN]", "[" * 100_000, '{"a": {"b": 1, "b": 1}}']
)
def test_doubtful_json_is_refused(tmp_path: Path, text: str) -> None:
    """A name that stands twice has two meanings; what is cut or too deep has none."""
    (tmp_path / "batch").write_text(text)
    with pytest.raises(UsageFault):
        read_json(tmp_path / "batch")
