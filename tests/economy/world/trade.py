"""Paid downloads: open, settle, close, in one block."""

from typing import TYPE_CHECKING

from chain.modules import sessions
from chain.modules.sessions import CloseSession, HostAllotment, OpenSession, Release, Settle, Voucher
from chain.primitives.keys import KeyPair
from chain.primitives.types import INTEGER_MAX, Address, Hash

if TYPE_CHECKING:
    from tests.economy.world.arena import Arena

VOUCHER_KEY = KeyPair(b"v" * 32)


def open_session(arena: "Arena", member: Address, host: Address, datum: Hash, size: int) -> Hash:
    """A session with one host, for so many bytes; returns its id."""
    price = sessions.get_parameters(arena.state).price_per_gib
    part = HostAllotment(host, sessions.compute_price(size, price))
    expires_at = arena.height + sessions.get_parameters(arena.state).lifetime_blocks_max
    call = OpenSession(datum, VOUCHER_KEY.public_key, INTEGER_MAX, expires_at, (part,))
    opened = next(
        event for event in arena.call(member, call) if isinstance(event, sessions.types.SessionOpened)
    )
    return opened.session


def build_settle(
    arena: "Arena", session: Hash, host: Address, size: int, key: KeyPair = VOUCHER_KEY
) -> Settle:
    """The call that settles a voucher, signed by `key`."""
    price = sessions.get_parameters(arena.state).price_per_gib
    amount = sessions.compute_price(size, price)
    voucher = Voucher(arena.genesis_hash, session, host, size, amount)
    return Settle(sessions.sign_voucher(key, voucher))


def buy(arena: "Arena", member: Address, host: Address, datum: Hash, size: int) -> None:
    """A paid download of so many bytes; settled with the host's release, so that a small one is paid too."""
    session = open_session(arena, member, host, datum, size)
    arena.call(member, CloseSession(session))
    arena.call(host, Release(host, (build_settle(arena, session, host, size).signed,), ()))
