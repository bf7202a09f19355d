"""Releases: what a host says when a session is closed or expired and it claims nothing more in it.

A release settles the last voucher of the session, if there is one. Once all hosts have released, the rest of
the deposit returns (`chain.modules.sessions`). It is sent for every ended session that has an allotment for
the host, also where nothing was served.
"""

from collections.abc import Callable, Iterator, Sequence

from chain.modules.sessions import RELEASES_MAX, Release, SignedVoucher, list_releasable
from chain.primitives.types import Address, Hash, Height
from chain.state import StateReader

Claim = tuple[Hash, SignedVoucher | None]
"""A session that the host releases, and the voucher that it settles in it."""


def list_claims(
    state: StateReader, host: Address, height: Height, get_voucher: Callable[[Hash], SignedVoucher | None]
) -> tuple[Claim, ...]:
    """What a host can release in a block at `height`. A voucher that is settled already is left out."""
    claims: list[Claim] = []
    for session, allotment in list_releasable(state, host, height):
        signed = get_voucher(session)
        adds = signed is not None and signed.voucher.bytes > allotment.bytes
        claims.append((session, signed if adds else None))
    return tuple(claims)


def build_releases(host: Address, claims: Sequence[Claim]) -> Iterator[Release]:
    """As few calls as there can be for these claims."""
    for start in range(0, len(claims), RELEASES_MAX):
        batch = claims[start : start + RELEASES_MAX]
        vouchers = tuple(signed for _, signed in batch if signed is not None)
        yield Release(host, vouchers, tuple(session for session, signed in batch if signed is None))
