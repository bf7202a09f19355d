"""`vidya wallet`: keys of this machine. A node is asked only for the prefix of addresses.

A new key is a mnemonic of 24 words; its account is the first of them (docs/spec/keys.md).
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import CliError, UsageFault
from cli.exits import ExitCode
from cli.terminal import output
from cli.terminal.cells import Cell
from cli.terminal.folding import fold_text
from cli.terminal.options import Settings, command, complete_key
from cli.terminal.streams import has_unicode
from cli.terminal.style import get_width, is_coloured

app = typer.Typer(
    no_args_is_help=True, help="Keys: make, import, list, show, export, rename.", rich_markup_mode=None
)

DEFAULT_PREFIX = "vidya"
SECRET_BYTES_MAX = 2**16
WORD_CHARS = 18
"""Columns for a word of a mnemonic with its number."""
Name = Annotated[str, typer.Argument(help="1-32 of a-z, 0-9, - and _.")]
ExistingName = Annotated[str, typer.Argument(help="Name of a key.", autocompletion=complete_key)]
Prefix = Annotated[str | None, typer.Option(help="Prefix of addresses, if no node is asked.")]
Weak = Annotated[bool, typer.Option("--weak", help="Quick to open and to guess: for devnets and tests.")]
ROLES = "account, mnemonic, consensus, network or beacon"
LISTED = ("name", "role", "address")


@app.callback()
def wallet() -> None:
    """Keys: make, import, list, show, export, rename."""


@command(app)
def new(
    settings: Settings,
    name: Name,
    prefix: Prefix = None,
    mnemonic_file: Annotated[Path | None, typer.Option(help="Write the words there, mode 0600.")] = None,
    weak: Weak = False,
) -> None:
    """Make a key out of 24 new words, which are shown once, on a terminal only."""
    from cli.context.keys import read_password
    from node.keys import keystore
    from node.keys.derivation import KeyRole, build_mnemonic, decode_mnemonic

    words, known = build_mnemonic(), find_prefix(settings, prefix)
    folder = settings.home / "wallet"
    _check_free(folder, name)
    password = read_password(settings, name, is_new=True)
    secret, profile = decode_mnemonic(words), choose_profile(weak)
    with keep_words(mnemonic_file, words):
        key = keystore.create(folder, name, secret, password, role=KeyRole.MNEMONIC, profile=profile)
    if mnemonic_file is None:
        show_words(settings, name, words)
    settings.emit(describe(key, known))


@command(app, "import")
def import_key(
    settings: Settings,
    name: Name,
    role: Annotated[str, typer.Option(help=f"Of a secret: {ROLES}.")] = "mnemonic",
    file: Annotated[
        Path | None, typer.Option(help="File with the words, the seed in hex, or a key file.")
    ] = None,
    prefix: Prefix = None,
    weak: Weak = False,
) -> None:
    """Take in 24 words, a seed in hex, or a key file of another wallet; from a file or typed."""
    from cli.context.keys import read_password
    from node.keys import keystore

    folder, kind, known = settings.home / "wallet", parse_role(role), find_prefix(settings, prefix)
    _check_free(folder, name)
    text = read_secret_text(file)
    is_key_file = text.lstrip().startswith("{")
    secret = b"" if is_key_file else keystore.decode_secret(kind, text)
    password = read_password(settings, name, is_new=True)
    if is_key_file:
        key = keystore.import_file(folder, name, text.encode(), password)
    else:
        key = keystore.create(folder, name, secret, password, role=kind, profile=choose_profile(weak))
    settings.emit(describe(key, known))


@command(app, "list")
def list_keys(settings: Settings, prefix: Prefix = None) -> None:
    """All keys of the wallet, with the address that others send to."""
    from cli.context import keys

    known = find_prefix(settings, prefix)
    records = [describe(key, known) for key in keys.list_keys(settings)]
    if settings.format is output.Format.TABLE:
        # Whole: this is what others are given to send to.
        records = [{**one, "address": Cell(one["address"] or "-")} for one in records]
    settings.emit(records, LISTED)


@command(app)
def show(
    settings: Settings,
    name: ExistingName,
    prefix: Prefix = None,
    qr: Annotated[
        bool, typer.Option("--qr", help="Draw the address as a QR code, for a phone to read.")
    ] = False,
) -> None:
    """What is known of a key without its password."""
    from cli.context.keys import find_key

    folder, key = find_key(settings, name)
    record = describe(key, find_prefix(settings, prefix))
    if qr:
        show_code(settings, name, record["address"])
        return
    settings.emit({**record, "file": str(folder / f"{name}.json"), "path": key.path})


def show_code(settings: Settings, name: str, address: str | None) -> None:
    """The address as a QR code and below it as text; raises UsageFault where it cannot be drawn."""
    from cli.terminal.qr import draw

    if address is None:
        raise UsageFault(f"{name} is no account, so it has no address")
    if settings.format is not output.Format.TABLE or not has_unicode(sys.stdout):
        raise UsageFault("--qr draws with block characters on a terminal; leave it out to get the address")
    output.print_record("\n".join([*draw(address, is_coloured=is_coloured(sys.stdout)), address]))


@command(app)
def export(
    settings: Settings,
    name: ExistingName,
    file: Annotated[Path | None, typer.Option(help="Write the secret there, mode 0600.")] = None,
) -> None:
    """Show the words or the seed of a key, on a terminal or into a file: they give access to the money."""
    from cli.context.keys import find_key, read_password
    from node.home.home import write_private
    from node.keys import keystore

    folder, _ = find_key(settings, name)
    secret = keystore.export_secret(folder, name, read_password(settings, name))
    if file is not None:
        write_private(file, secret.encode() + b"\n")
        output.say(f"the secret of {name} is in {file}; keep it secret")
    elif output.is_private_screen():
        output.show_secret([secret])
    else:
        raise CliError(
            "not_a_terminal", "secrets are shown on a terminal only", "--file FILE", ExitCode.NOT_ALLOWED
        )


@command(app)
def rename(settings: Settings, name: ExistingName, new_name: Name) -> None:
    """Give a key another name; the old one is free then."""
    from cli.context.keys import find_key
    from node.keys import keystore

    folder, _ = find_key(settings, name)
    key = keystore.rename(folder, name, new_name)
    settings.emit(describe(key, find_prefix(settings, None)))


@contextmanager
def keep_words(file: Path | None, words: str) -> Iterator[None]:
    """Writes the words before the key is made; takes them away again if it cannot be made."""
    from node.home.home import write_private

    if file is not None:
        write_private(file, words.encode() + b"\n")
    try:
        yield
    except BaseException:
        if file is not None:
            file.unlink()
        raise


def describe(key: Any, prefix: str) -> dict[str, Any]:
    """A key as lists show it."""
    from chain.primitives.addresses import encode_address

    has_address = key.role.value in ("account", "mnemonic")
    address = encode_address(prefix, key.address) if has_address else None
    return {"name": key.name, "role": key.role.value, "address": address, "public_key": key.public_key}


def find_prefix(settings: Settings, prefix: str | None) -> str:
    """The one typed, that of the node asked, that of the home's chain, or the usual one."""
    from cli.context.network import get_prefix_of_home, try_get_prefix

    if prefix is not None:
        from chain.primitives.addresses import check_prefix

        check_prefix(prefix)
        return prefix
    return try_get_prefix(settings) or get_prefix_of_home(settings.home) or DEFAULT_PREFIX


def choose_profile(weak: bool) -> Any:
    """The cost of trying one password."""
    from node.keys.keystore import Profile

    return Profile.DEVNET if weak else Profile.STANDARD


def parse_role(text: str) -> Any:
    """A role by its name."""
    from node.keys.derivation import KeyRole

    if text not in list(KeyRole):
        raise UsageFault(f"{text!r} is no role: {ROLES}")
    return KeyRole(text)


def read_secret_text(file: Path | None) -> str:
    """What was typed or is in the file, up to a bound."""
    import getpass

    from cli.context.files import read_text

    if file is None and output.can_ask():
        return getpass.getpass("words or seed (not shown): ")
    return read_text(file or Path("-"), "file of words", SECRET_BYTES_MAX)


def show_words(settings: Settings, name: str, words: str) -> None:
    """Shows the mnemonic on a terminal, to be written down; elsewhere says how to see it."""
    if not output.is_private_screen():
        where = f" --home {settings.home}" if settings.is_home_typed else ""
        output.say(
            f"the 24 words of {name} are shown on a terminal only: `vidya wallet export {name}{where}`"
        )
        return
    head = "Write these words down. With them anybody can restore the key; without them nobody can:"
    width = get_width(sys.stdout)
    output.show_secret([fold_text(head, width), "", *list_word_rows(words.split(), width), ""])


def list_word_rows(words: Sequence[str], width: int | None) -> list[str]:
    """The words with their numbers, column by column, as many columns as fit the screen."""
    columns = 4 if width is None or width >= 4 * WORD_CHARS else max(width // WORD_CHARS, 1)
    rows = -(-len(words) // columns)
    lines = [f"  {number:2} {word}" for number, word in enumerate(words, start=1)]
    return ["".join(part.ljust(WORD_CHARS) for part in lines[row::rows]).rstrip() for row in range(rows)]


def _check_free(folder: Path, name: str) -> None:
    """Raises KeystoreError if the name is taken or unfit; before a password is typed."""
    from node.keys import keystore

    keystore.check_name(name)
    if name in keystore.get_names(folder):
        raise keystore.KeyExists(f"there is a key named {name!r} in {folder}")
    if os.path.lexists(folder / f"{name}.json"):
        raise keystore.KeyExists(f"{folder / name}.json is in the way")
