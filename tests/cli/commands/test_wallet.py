"""`vidya wallet`, through the command itself."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chain.primitives.addresses import decode_address
from chain.primitives.keys import KeyPair
from cli.commands.wallet import list_word_rows
from cli.context.keys import find_account
from cli.errors import UsageFault
from cli.main import app
from cli.terminal.options import build_settings
from node.keys import keystore
from node.keys.derivation import KeyRole, derive

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `vidya ... -o json` in a home of its own, with a password file."""
    for name in ("VIDYA_API", "VIDYA_HOME", "VIDYA_FROM", "VIDYA_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    password = tmp_path / "password"
    password.write_text("correct horse\n")

    def invoke(*arguments: str, exit_code: int = 0, **more: Any) -> Any:
        fixed = ["-o", "json", "--home", str(tmp_path / "home"), "--password-file", str(password)]
        result = CliRunner().invoke(app, [*fixed, *arguments], **more)
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout) if exit_code == 0 else json.loads(result.stderr)["error"]

    return invoke


def test_new_key_is_the_first_account_of_its_words(run: Run, tmp_path: Path) -> None:
    """The words that were written out restore the account; the file is private; stdout has no word."""
    words_file = tmp_path / "words"
    made = run("wallet", "new", "alice", "--weak", "--prefix", "vdev", "--mnemonic-file", str(words_file))
    words = words_file.read_text().strip()
    public_key = KeyPair(derive(words, KeyRole.ACCOUNT)).public_key
    assert decode_address("vdev", made["address"]) == public_key
    assert stat.S_IMODE(words_file.stat().st_mode) == 0o600
    assert len(words.split()) == 24 and words not in json.dumps(made)


def test_a_damaged_key_file_does_not_hide_the_others(run: Run, tmp_path: Path) -> None:
    """The other keys are listed and found; whoever names the damaged one is told which file it is."""
    run("wallet", "new", "alice", "--weak")
    file = tmp_path / "home" / "wallet" / "bob.json"
    file.write_bytes(b"\x00 no key")
    listed = CliRunner().invoke(app, ["wallet", "list", "-o", "json", "--home", str(tmp_path / "home")])
    assert [one["name"] for one in json.loads(listed.stdout)] == ["alice"]
    assert listed.stderr.count(str(file)) == 1
    refused = run("wallet", "show", "bob", exit_code=1)
    assert refused["code"] == "invalid_keystore" and str(file) in refused["message"]


def test_no_key_is_chosen_beside_a_damaged_one(tmp_path: Path) -> None:
    """The damaged file may be the account that was meant: --from is needed, and names what is wrong."""
    wallet = tmp_path / "wallet"
    keystore.create(
        wallet, "alice", bytes(32), "correct horse", role=KeyRole.ACCOUNT, profile=keystore.Profile.DEVNET
    )
    assert find_account(build_settings({"home": str(tmp_path)})).name == "alice"
    (wallet / "bob.json").write_bytes(b"\x00 no key")
    with pytest.raises(UsageFault):
        find_account(build_settings({"home": str(tmp_path)}))
    with pytest.raises(keystore.InvalidKeystore, match=r"bob\.json"):
        find_account(build_settings({"home": str(tmp_path), "sender": "bob"}))
    assert find_account(build_settings({"home": str(tmp_path), "sender": "alice"})).name == "alice"


def test_the_hint_to_the_words_names_the_home(tmp_path: Path) -> None:
    """Into a pipe the words are not written, and the command that shows them works as printed."""
    password, home = tmp_path / "password", tmp_path / "elsewhere"
    password.write_text("correct horse")
    fixed = ["--home", str(home), "--password-file", str(password)]
    made = CliRunner().invoke(app, ["wallet", "new", "alice", "--weak", *fixed])
    assert f"`vidya wallet export alice --home {home}`" in made.stderr


@pytest.mark.parametrize(("width", "columns"), [(None, 4), (120, 4), (60, 3), (40, 2), (5, 1)])
def test_words_fit_the_screen(width: int | None, columns: int) -> None:
    """All of them in order, column by column, each with its number."""
    words = [f"word{number}" for number in range(1, 25)]
    rows = list_word_rows(words, width)
    assert len(rows) == 24 // columns and (width is None or width < 20 or max(map(len, rows)) <= width)
    numbered = [row[start : start + 18].split() for start in range(0, 18 * columns, 18) for row in rows]
    assert numbered == [[str(number), word] for number, word in enumerate(words, start=1)]


def test_words_are_not_shown_where_they_would_stay(run: Run, tmp_path: Path) -> None:
    """Into a pipe or file no secret is written; `export --file` writes it to who has the password."""
    run("wallet", "new", "alice", "--weak")
    assert run("wallet", "export", "alice", exit_code=9)["code"] == "not_a_terminal"
    result = CliRunner().invoke(
        app,
        ["wallet", "export", "alice", "--file", str(tmp_path / "out"), "--home", str(tmp_path / "home"),
         "--password-file", str(tmp_path / "password")],
    )  # fmt: skip
    assert result.exit_code == 0 and len((tmp_path / "out").read_text().split()) == 24


def test_import_restores_what_was_exported(run: Run, tmp_path: Path) -> None:
    """Words, and a whole key file, give the same account under another name."""
    made = run("wallet", "new", "alice", "--weak", "--mnemonic-file", str(tmp_path / "words"))
    by_words = run("wallet", "import", "again", "--weak", "--file", str(tmp_path / "words"))
    key_file = tmp_path / "home" / "wallet" / "alice.json"
    by_file = run("wallet", "import", "copy", "--file", str(key_file))
    assert made["address"] == by_words["address"] == by_file["address"]


def test_a_key_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    """A second key of the name is refused, and the first still opens."""
    made = run("wallet", "new", "alice", "--weak")
    assert run("wallet", "new", "alice", "--weak", exit_code=1)["code"] == "key_exists"
    wallet = tmp_path / "home" / "wallet"
    assert keystore.load(wallet, "alice").public_key == made["public_key"]
    keystore.unlock(keystore.load(wallet, "alice"), "correct horse")


def test_rename_list_and_show_agree(run: Run) -> None:
    """A key goes by its new name alone."""
    run("wallet", "new", "alice", "--weak")
    renamed = run("wallet", "rename", "alice", "bob")
    assert run("wallet", "list") == [renamed]
    assert run("wallet", "show", "bob")["public_key"] == renamed["public_key"]
    assert run("wallet", "show", "alice", exit_code=8)["code"] == "key_not_found"


@pytest.mark.parametrize("name", ["../evil", "Alice", "", "a" * 33, ".hidden"])
def test_names_that_leave_the_folder_are_refused(run: Run, name: str) -> None:
    """A name is a name: nothing that could be a path or hide."""
    assert run("wallet", "new", name, "--weak", exit_code=2)["code"] == "invalid_name"


def test_wrong_password_and_mistyped_words_are_told(run: Run, tmp_path: Path) -> None:
    """Exit 9 for a password that does not open, exit 2 for words whose checksum does not fit."""
    run("wallet", "new", "alice", "--weak", "--mnemonic-file", str(tmp_path / "words"))
    wrong = tmp_path / "wrong"
    wrong.write_text("battery staple")
    arguments = ("wallet", "export", "alice", "--file", str(tmp_path / "x"), "--password-file", str(wrong))
    assert run(*arguments, exit_code=9)["code"] == "wrong_password"
    # With the last word "art" these would be words of BIP-39; a random typo passes the checksum once in 256.
    (tmp_path / "typo").write_text(" ".join(["abandon"] * 24))
    refused = run("wallet", "import", "copy", "--weak", "--file", str(tmp_path / "typo"), exit_code=2)
    assert refused["code"] == "invalid_mnemonic"


def test_no_password_is_asked_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal and without a password file the command ends at once and says what to give."""
    monkeypatch.delenv("VIDYA_PASSWORD_FILE", raising=False)
    result = CliRunner().invoke(app, ["wallet", "new", "alice", "--home", str(tmp_path), "-o", "json"])
    told = json.loads(result.stderr.splitlines()[-1])["error"]
    assert result.exit_code == 2 and told["code"] == "no_password" and "--password-file" in told["hint"]


def test_a_failed_new_leaves_no_key(run: Run, tmp_path: Path) -> None:
    """Words that cannot be written, and an invalid prefix are seen before the key is made."""
    password = tmp_path / "password"
    run("wallet", "new", "k1", "--weak", "--mnemonic-file", str(tmp_path / "none" / "x"), exit_code=1)
    run("wallet", "new", "k2", "--weak", "--mnemonic-file", str(password), exit_code=1)
    run("wallet", "new", "k3", "--weak", "--prefix", "BAD PREFIX", exit_code=2)
    run("wallet", "import", "k4", "--weak", "--role", "king", exit_code=2)
    assert run("wallet", "list") == []


def test_words_of_a_key_that_was_not_made_do_not_stay(run: Run, tmp_path: Path) -> None:
    """The wallet cannot be written: the file of words goes again, since no key has them."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "wallet").write_text("in the way")
    words = tmp_path / "words"
    run("wallet", "new", "k1", "--weak", "--mnemonic-file", str(words), exit_code=1)
    assert not words.exists()


@pytest.mark.parametrize("data", [b"p\xe4ss", b"\xff\xfea\0"])
def test_passwords_and_words_are_utf8(run: Run, tmp_path: Path, data: bytes) -> None:
    """A file in another encoding is refused by name, and no key is made."""
    (tmp_path / "odd").write_bytes(data)
    told = run("wallet", "new", "a", "--weak", "--password-file", str(tmp_path / "odd"), exit_code=2)
    assert "password file" in told["message"]
    told = run("wallet", "import", "b", "--weak", "--file", str(tmp_path / "odd"), exit_code=2)
    assert "file of words" in told["message"] and run("wallet", "list") == []
