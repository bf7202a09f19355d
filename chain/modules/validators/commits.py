"""Validators: the commit of the last block, and the tally of commits and proposals of this epoch."""

from chain.errors import InvalidBlock
from chain.module import Context
from chain.modules.validators.queries import get_participation, get_previous
from chain.modules.validators.types import TALLY, UNPAID, Participation, Tally
from chain.primitives.codec import replace
from chain.primitives.types import Address
from chain.validator_set import Validator
from chain.votes import CommitCertificate, InvalidCertificate, check_certificate


def process_last_commit(ctx: Context, certificate: CommitCertificate | None) -> None:
    """Check the commit of the last block and count its signers; raises InvalidBlock. None only in block 1.

    The runtime checks that it names the parent.
    """
    if (certificate is None) != (ctx.height == 1):
        raise InvalidBlock("the commit of the last block is missing, or was given in block 1")
    if certificate is None:
        _count(ctx, (), ())
        return
    if certificate.height != ctx.height - 1:
        raise InvalidBlock(f"commit of height {certificate.height}")
    previous = get_previous(ctx.state)
    try:
        check_certificate(ctx.genesis_hash, previous, certificate, ctx.verify)
    except InvalidCertificate as error:
        raise InvalidBlock(f"commit of the last block: {error}") from error
    _count(ctx, previous.validators, tuple(part.validator for part in certificate.signatures))


def _count(ctx: Context, members: tuple[Validator, ...], signers: tuple[Address, ...]) -> None:
    """Add one commit and one proposal to the tally of this epoch."""
    entries = {entry.validator: entry for entry in get_participation(ctx.state, ctx.epoch)}
    unpaid = UNPAID.get(ctx.state) or ()
    for member in members:
        entry = entries.get(member.address) or Participation(member.address)
        has_signed = member.address in signers
        entries[member.address] = replace(
            entry,
            due=entry.due + 1,
            signed=entry.signed + has_signed,
            weight=entry.weight + (member.power if has_signed and member.address not in unpaid else 0),
        )
    proposer = entries.get(ctx.proposer) or Participation(ctx.proposer)
    entries[ctx.proposer] = replace(proposer, proposed=proposer.proposed + 1)
    TALLY.set(ctx.state, Tally(ctx.epoch, tuple(entries[who] for who in sorted(entries))))


def forfeit(ctx: Context, who: Address) -> None:
    """Take the pay of this epoch from a validator; must be called before the epoch is paid."""
    entries = get_participation(ctx.state, ctx.epoch)
    left = tuple(replace(entry, weight=0) if entry.validator == who else entry for entry in entries)
    TALLY.set(ctx.state, Tally(ctx.epoch, left))
