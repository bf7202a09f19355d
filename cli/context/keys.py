"""Keys of the wallet: finding one by name or address, its password, opening it.

The wallet of a home is its folder `wallet/`. A key is looked for in the home that was named, then in
VIDYA_HOME, then in ~/.vidya, so that `--home` may name a node's folder while the wallet lies elsewhere.
"""

import getpass
import os
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path

from chain.primitives.keys import KeyPair
from chain.primitives.types import Address
from cli.context.files import read_text
from cli.errors import CliError, UsageFault
from cli.exits import ExitCode
from cli.terminal import output
from cli.terminal.options import HOME, Settings
from node.keys import keystore
from node.keys.derivation import KeyRole, derive, encode_mnemonic
from node.keys.keystore import KeyFile, KeystoreError

ACCOUNT_ROLES = (KeyRole.ACCOUNT, KeyRole.MNEMONIC)
PASSWORD_FILE_BYTES_MAX = 4096
HOW_TO_UNLOCK = "give --password-file FILE, or set VIDYA_PASSWORD_FILE"


class WalletAccount:
    """A key of the wallet that can sign for an account; its password is asked for when it is needed."""

    def __init__(self, settings: Settings, key_file: KeyFile) -> None:
        self.name = key_file.name
        self.address: Address = key_file.address
        self._settings = settings
        self._key_file = key_file

    @cached_property
    def key(self) -> KeyPair:
        """The opened key."""
        return KeyPair(open_account_seed(self._key_file, read_password(self._settings, self.name)))


def list_wallets(settings: Settings) -> list[Path]:
    """Where keys are looked for, in order."""
    homes = [settings.home, Path(os.environ.get("VIDYA_HOME") or HOME).expanduser(), HOME.expanduser()]
    return [home / "wallet" for home in dict.fromkeys(homes)]


def list_keys(settings: Settings) -> Iterator[KeyFile]:
    """The keys of the wallets, each name once; a file that cannot be read is left out with a warning."""
    seen: set[str] = set()
    for wallet in list_wallets(settings):
        for name in keystore.get_names(wallet):
            if name not in seen:
                seen.add(name)
                try:
                    key_file = keystore.load(wallet, name)
                except (KeystoreError, OSError) as error:
                    _warn_once(f"left out: {error}")
                else:
                    yield key_file


@cache
def _warn_once(text: str) -> None:
    """A command lists the keys several times."""
    output.warn(text)


def find_key(settings: Settings, name: str) -> tuple[Path, KeyFile]:
    """A key by its name, and the wallet that it lies in; raises CliError."""
    keystore.check_name(name)
    for wallet in list_wallets(settings):
        if name in keystore.get_names(wallet):
            return wallet, keystore.load(wallet, name)
    raise _build_not_found(settings, name)


def find_own_address(settings: Settings) -> Address:
    """Whose records are read where nobody is named: as `find_account`, but nothing is signed."""
    return find_account(settings, wanted="say whose: NAME, ADDRESS, or --from NAME").address


def find_account(settings: Settings, wanted: str = "say which key signs: --from NAME") -> WalletAccount:
    """The account that `--from` names, else the only one of the wallet; raises CliError, UsageFault.

    `wanted` is what it says if there is no only one.
    """
    readable = list(list_keys(settings))
    keys = [key for key in readable if key.role in ACCOUNT_ROLES]
    if settings.sender is None:
        names = set(keystore.get_names(settings.home / "wallet"))
        own = [key for key in keys if key.name in names]
        # A damaged file may be the account that was meant.
        if len(own) == 1 and names <= {key.name for key in readable}:
            return WalletAccount(settings, own[0])
        raise UsageFault(wanted, "`vidya wallet list`, or `vidya wallet new NAME`")
    address = try_decode(settings.sender)
    for key in keys:
        if key.name == settings.sender or key.address == address:
            return WalletAccount(settings, key)
    for wallet in list_wallets(settings):
        if settings.sender in keystore.get_names(wallet):
            keystore.load(wallet, settings.sender)  # Raises what is wrong with the file.
    raise _build_not_found(settings, settings.sender)


def _build_not_found(settings: Settings, name: str) -> CliError:
    near = get_close_matches(name.lower(), [key.name for key in list_keys(settings)], 1)
    hint = f"did you mean {near[0]}?" if near else "`vidya wallet list`, or `vidya wallet new NAME`"
    message = f"there is no key named {name[:80]!r} in {settings.home / 'wallet'}"
    return CliError("key_not_found", message, hint, ExitCode.NOT_FOUND)


def try_decode(text: str) -> Address | None:
    """The account of an address of any network; None if it is no address."""
    from chain.primitives.addresses import decode_address
    from chain.primitives.errors import InvalidAddress

    try:
        return decode_address(text.lower().rpartition("1")[0], text)
    except InvalidAddress:
        return None


def open_account_seed(key_file: KeyFile, password: str) -> bytes:
    """The seed of an account, also out of a mnemonic."""
    secret = keystore.unlock(key_file, password)
    if key_file.role is KeyRole.MNEMONIC:
        return derive(encode_mnemonic(secret), KeyRole.ACCOUNT)
    return secret


def read_password(settings: Settings, name: str, *, is_new: bool = False) -> str:
    """From the file that was named, else from the terminal."""
    if settings.password_file is not None:
        text = read_text(settings.password_file, "password file", PASSWORD_FILE_BYTES_MAX)
        return text.rstrip("\r\n")
    if not output.can_ask():
        raise CliError("no_password", f"the key {name!r} has a password", HOW_TO_UNLOCK, ExitCode.USAGE)
    password = getpass.getpass(f"password of {name}: ")
    if is_new and getpass.getpass("again: ") != password:
        raise UsageFault("the two passwords differ")
    return password
