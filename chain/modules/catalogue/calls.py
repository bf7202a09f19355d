"""Catalogue: putting a datum into the index and taking it back."""

from typing import Annotated

from msgspec import Meta

from chain.content import compute_listed_id
from chain.module import Context
from chain.modules import balances
from chain.modules.catalogue.effects import count, forget_downloaders, store
from chain.modules.catalogue.queries import (
    compute_listing_fee,
    compute_required,
    get_datum,
    get_parameters,
    get_pay_per_gib,
)
from chain.modules.catalogue.types import (
    BONDED,
    DATUMS,
    DESCRIPTION_BYTES_MAX,
    LABEL_BYTES_MAX,
    MODULE,
    POT,
    TAGS_MAX,
    TITLE_BYTES_MAX,
    UNPAID,
    AlreadyListed,
    CaseOpen,
    Datum,
    Delisted,
    Description,
    Junk,
    Label,
    Listed,
    NotListed,
    NotLister,
    Parameters,
    SizeOutOfBounds,
    StillHosted,
    StillSponsored,
    TextTooLong,
    Title,
    UnprintableText,
)
from chain.primitives.codec import Record, replace
from chain.primitives.text import is_clean_text
from chain.primitives.types import Address, Hash, Uint


class ListDatum(Record):
    """Put a datum into the index: hash of its files' names and sizes, Merkle root, total bytes."""

    files_hash: Hash
    root: Hash
    size_bytes: Uint
    title: Title
    category: Label
    tags: Annotated[tuple[Label, ...], Meta(max_length=TAGS_MAX)]
    description: Description


class Delist(Record):
    """Take an entry of one's own out of the index."""

    datum: Hash


@MODULE.call(1, ListDatum, weight=220)
def list_datum(ctx: Context, sender: Address, call: ListDatum) -> None:
    """Open to any account; burns the fee, locks the bond. Emits Listed, Admitted if that needs nothing."""
    parameters = get_parameters(ctx.state)
    datum = _check_and_build(ctx, sender, call, parameters)
    enlist(ctx, compute_datum_id(call), datum, compute_listing_fee(parameters, call.size_bytes))


def list_founding(ctx: Context, sender: Address, call: ListDatum) -> None:
    """A listing of genesis: admitted at once without sponsors, and never capped."""
    parameters = get_parameters(ctx.state)
    datum = _check_and_build(ctx, sender, call, parameters)
    founding = replace(datum, earns_from=0, is_due=True, needed=0, members=parameters.outside_members)
    enlist(ctx, compute_datum_id(call), founding, compute_listing_fee(parameters, call.size_bytes))


def _check_and_build(ctx: Context, sender: Address, call: ListDatum, parameters: Parameters) -> Datum:
    if DATUMS.has(ctx.state, compute_datum_id(call)):
        raise AlreadyListed
    if not 1 <= call.size_bytes <= parameters.datum_bytes_max:
        raise SizeOutOfBounds
    _check_texts(call)
    is_due = parameters.unpaid_eras == 0
    earns_from = ctx.era if is_due else ctx.era + 1 + parameters.unpaid_eras
    required = compute_required(parameters, get_pay_per_gib(ctx.state), call.size_bytes)
    return Datum(
        root=call.root,
        size_bytes=call.size_bytes,
        title=call.title,
        category=call.category,
        tags=call.tags,
        description=call.description,
        lister=sender,
        listed_at=ctx.height,
        bond=parameters.curator_bond,
        bond_until=ctx.era + 1 + parameters.curator_bond_eras,
        earns_from=earns_from,
        wanted_in=ctx.era,
        is_due=is_due,
        needed=None if required else 0,
    )


def enlist(ctx: Context, datum_id: Hash, datum: Datum, fee: int) -> None:
    """Take fee and bond, write the entry and its places in the queues."""
    balances.burn(ctx, datum.lister, fee, balances.BurnCause.LISTING)
    balances.transfer(ctx, datum.lister, POT, datum.bond)
    listed = Listed(
        datum_id, datum.lister, datum.size_bytes, fee, datum.bond, datum.bond_until, datum.earns_from
    )
    ctx.emit(listed)
    BONDED.set(ctx.state, True, datum.bond_until, datum_id)
    if not datum.is_due:
        UNPAID.set(ctx.state, True, datum.earns_from, datum_id)
    store(ctx, datum_id, datum)


def _check_texts(call: ListDatum) -> None:
    labels = (call.category, *call.tags)
    if not all(map(is_clean_text, (call.title, *labels))) or not is_clean_text(call.description, "\n"):
        raise UnprintableText
    if len(call.title.encode()) > TITLE_BYTES_MAX or len(call.description.encode()) > DESCRIPTION_BYTES_MAX:
        raise TextTooLong
    if any(len(label.encode()) > LABEL_BYTES_MAX for label in labels):
        raise TextTooLong


@MODULE.call(2, Delist, weight=1200)
def delist(ctx: Context, sender: Address, call: Delist) -> None:
    """The lister takes back an entry without hosts and sponsors, and gets the bond. Emits Delisted."""
    datum = get_datum(ctx.state, call.datum)
    if datum is None:
        raise NotListed
    _check_free(datum, sender)
    DATUMS.delete(ctx.state, call.datum)
    UNPAID.delete(ctx.state, datum.earns_from, call.datum)
    BONDED.delete(ctx.state, datum.bond_until, call.datum)
    forget_downloaders(ctx.state, call.datum)
    balances.transfer(ctx, POT, sender, datum.bond)
    count(ctx.state, datum, None)
    ctx.emit(Delisted(call.datum, sender, datum.bond))


def _check_free(datum: Datum, sender: Address) -> None:
    if datum.lister != sender:
        raise NotLister
    if datum.is_junk:
        raise Junk
    if datum.case is not None:
        raise CaseOpen
    if datum.holdings:
        raise StillHosted
    if datum.sponsors:
        raise StillSponsored


def compute_datum_id(call: ListDatum) -> Hash:
    """The id of the datum that a call lists."""
    return compute_listed_id(call.files_hash, call.size_bytes, call.root)
