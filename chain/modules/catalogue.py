"""Catalogue: the private index; each entry is a datum with its Merkle root and its search texts.

Listing burns a fee by size and locks a curator bond, so that the index is not filled with junk. A datum is
*admitted*, that is, it earns hosting reward, once enough different members have paid to download all of it
(`admission_members`). A lister may take an entry back while nobody hosts it, and gets the bond back.

A call does not name the datum: its id is computed here from what the call lists. So no datum can be listed
with a root or size that is not its own; wrong ones give an id that belongs to no manifest.

Invariant: the pot holds the sum of all curator bonds. Challenges, votes and freeleech flags are not here yet.
"""

import re
from typing import Annotated

from msgspec import Meta

from chain.content import DATUM_BYTES_MAX, compute_listed_id
from chain.errors import DispatchError, InvalidChainSpec
from chain.module import Context, Module
from chain.modules import balances
from chain.primitives.codec import Record, replace
from chain.primitives.fixed_point import div_up
from chain.primitives.types import Address, Amount, Hash, Height, Uint, Uint32
from chain.state import Overlay, StateReader, StorageMap, StorageValue

MODULE = Module("catalogue", index=7)
POT = balances.compute_pot("catalogue")

GIB = 2**30
TAGS_MAX = 16
TITLE_BYTES_MAX = 128
LABEL_BYTES_MAX = 32
DESCRIPTION_BYTES_MAX = 2048

# The codec bounds characters; `_check_texts` bounds bytes.
Title = Annotated[str, Meta(min_length=1, max_length=TITLE_BYTES_MAX)]
Label = Annotated[str, Meta(min_length=1, max_length=LABEL_BYTES_MAX)]
Description = Annotated[str, Meta(max_length=DESCRIPTION_BYTES_MAX)]

# Written out, because Unicode tables differ between Python versions and this is part of the state transition.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
"""Control characters, line separators, invisible characters, and those that change the reading direction."""


class Parameters(Record):
    """The costs of a listing, and the condition for its admission."""

    listing_fee_per_gib: Amount
    """Burned."""
    listing_fee_min: Amount
    curator_bond: Amount
    admission_members: Uint32
    """Different members that must have paid for the whole datum before it earns hosting reward; may be 0."""
    datum_bytes_max: Uint


class Datum(Record):
    """An entry of the index, stored by the id of the datum."""

    root: Hash
    size_bytes: Uint
    title: Title
    category: Label
    tags: Annotated[tuple[Label, ...], Meta(max_length=TAGS_MAX)]
    description: Description
    lister: Address
    listed_at: Height
    bond: Amount
    members: Uint32 = 0
    """Different members that have paid for all of it, counted up to `admission_members`."""
    holdings: Uint32 = 0
    """Hosts that have registered it, in effect or not yet; kept by `hosting`."""


class CatalogueTotals(Record):
    """Counts over the whole index."""

    datums: Uint = 0
    admitted: Uint = 0
    bytes: Uint = 0
    admitted_bytes: Uint = 0


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
DATUMS = StorageMap(MODULE.index, 1, Datum)
DOWNLOADERS = StorageMap(MODULE.index, 2, bool)
"""(datum, member) -> True, kept until the datum is admitted."""
TOTALS = StorageValue(MODULE.index, 3, CatalogueTotals)


@MODULE.event(1)
class Listed(Record):
    """A datum is in the index; `burned` is the listing fee, `bond` what its lister locked."""

    datum: Hash
    lister: Address
    size_bytes: Uint
    burned: Amount
    bond: Amount


@MODULE.event(2)
class Delisted(Record):
    """The lister took the datum back and got the bond."""

    datum: Hash
    lister: Address
    bond: Amount


@MODULE.event(3)
class Admitted(Record):
    """Hosting the datum is rewarded from now on; `members` had paid for all of it."""

    datum: Hash
    members: Uint32


@MODULE.error(1)
class AlreadyListed(DispatchError):
    """The datum is in the index already."""


@MODULE.error(2)
class NotListed(DispatchError):
    """The datum is not in the index."""


@MODULE.error(3)
class NotLister(DispatchError):
    """Only the account that listed a datum may take it back."""


@MODULE.error(4)
class StillHosted(DispatchError):
    """A datum that has hosts cannot be taken back."""


@MODULE.error(5)
class SizeOutOfBounds(DispatchError):
    """A datum has at least one byte and at most `datum_bytes_max`."""


@MODULE.error(6)
class UnprintableText(DispatchError):
    """A title, label or description has a control character or one that is invisible or misleading."""


@MODULE.error(7)
class TextTooLong(DispatchError):
    """A title, label or description is too long in bytes of UTF-8."""


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


@MODULE.call(1, ListDatum, weight=130)
def list_datum(ctx: Context, sender: Address, call: ListDatum) -> None:
    """Open to any account; burns the fee, locks the bond. Emits Listed, Admitted if that needs none."""
    parameters, datum_id = PARAMETERS.require(ctx.state), compute_datum_id(call)
    if DATUMS.has(ctx.state, datum_id):
        raise AlreadyListed
    if not 1 <= call.size_bytes <= parameters.datum_bytes_max:
        raise SizeOutOfBounds
    _check_texts(call)
    fee = compute_listing_fee(parameters, call.size_bytes)
    balances.burn(ctx, sender, fee, balances.BurnCause.LISTING)
    balances.transfer(ctx, sender, POT, parameters.curator_bond)
    DATUMS.set(ctx.state, _build_datum(ctx, sender, call, parameters.curator_bond), datum_id)
    _count(ctx.state, datums=1, size_bytes=call.size_bytes)
    ctx.emit(Listed(datum_id, sender, call.size_bytes, fee, parameters.curator_bond))
    if parameters.admission_members == 0:
        _admit(ctx, datum_id, 0)


def _check_texts(call: ListDatum) -> None:
    labels = (call.category, *call.tags)
    if not all(map(is_clean_text, (call.title, *labels))) or not is_clean_text(call.description, "\n"):
        raise UnprintableText
    if len(call.title.encode()) > TITLE_BYTES_MAX or len(call.description.encode()) > DESCRIPTION_BYTES_MAX:
        raise TextTooLong
    if any(len(label.encode()) > LABEL_BYTES_MAX for label in labels):
        raise TextTooLong


def _build_datum(ctx: Context, sender: Address, call: ListDatum, bond: Amount) -> Datum:
    return Datum(
        root=call.root,
        size_bytes=call.size_bytes,
        title=call.title,
        category=call.category,
        tags=call.tags,
        description=call.description,
        lister=sender,
        listed_at=ctx.height,
        bond=bond,
    )


@MODULE.call(2, Delist, weight=180)
def delist(ctx: Context, sender: Address, call: Delist) -> None:
    """The lister takes back an entry without hosts, and gets the bond. Emits Delisted."""
    datum = get_datum(ctx.state, call.datum)
    if datum is None:
        raise NotListed
    if datum.lister != sender:
        raise NotLister
    if datum.holdings:
        raise StillHosted
    was_admitted = is_admitted(ctx.state, call.datum)
    DATUMS.delete(ctx.state, call.datum)
    for member, _ in list(DOWNLOADERS.items(ctx.state, call.datum)):
        DOWNLOADERS.delete(ctx.state, call.datum, member)
    balances.transfer(ctx, POT, sender, datum.bond)
    lost = datum.size_bytes if was_admitted else 0
    _count(
        ctx.state,
        datums=-1,
        size_bytes=-datum.size_bytes,
        admitted=-1 if was_admitted else 0,
        admitted_bytes=-lost,
    )
    ctx.emit(Delisted(call.datum, sender, datum.bond))


def record_paid_download(ctx: Context, datum_id: Hash, member: Address) -> None:
    """Count a member who has paid for all of a datum; emits Admitted with the last one needed."""
    datum = get_datum(ctx.state, datum_id)
    if datum is None or is_admitted(ctx.state, datum_id) or DOWNLOADERS.has(ctx.state, datum_id, member):
        return
    DOWNLOADERS.set(ctx.state, True, datum_id, member)
    members = datum.members + 1
    DATUMS.set(ctx.state, replace(datum, members=members), datum_id)
    if members >= PARAMETERS.require(ctx.state).admission_members:
        _admit(ctx, datum_id, members)


def _admit(ctx: Context, datum_id: Hash, members: int) -> None:
    for member, _ in list(DOWNLOADERS.items(ctx.state, datum_id)):
        DOWNLOADERS.delete(ctx.state, datum_id, member)
    datum = get_datum(ctx.state, datum_id)
    assert datum is not None
    _count(ctx.state, admitted=1, admitted_bytes=datum.size_bytes)
    ctx.emit(Admitted(datum_id, members))


def count_holding(ctx: Context, datum_id: Hash, change: int) -> None:
    """Change the number of hosts of a datum; called by `hosting`."""
    datum = get_datum(ctx.state, datum_id)
    assert datum is not None
    DATUMS.set(ctx.state, replace(datum, holdings=datum.holdings + change), datum_id)


def _count(
    state: Overlay, *, datums: int = 0, size_bytes: int = 0, admitted: int = 0, admitted_bytes: int = 0
) -> None:
    totals = get_totals(state)
    grown = CatalogueTotals(
        datums=totals.datums + datums,
        admitted=totals.admitted + admitted,
        bytes=totals.bytes + size_bytes,
        admitted_bytes=totals.admitted_bytes + admitted_bytes,
    )
    TOTALS.set(state, grown)


class GenesisConfig(Record):
    """Listings at genesis; each lister pays fee and bond from its genesis balance."""

    parameters: Parameters
    listings: tuple[tuple[Address, ListDatum], ...] = ()


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters, and list by the same call as later."""
    if config.parameters.datum_bytes_max > DATUM_BYTES_MAX:
        raise InvalidChainSpec(f"catalogue: datum_bytes_max at most {DATUM_BYTES_MAX}")
    PARAMETERS.set(ctx.state, config.parameters)
    for who, call in config.listings:
        list_datum(ctx, who, call)


def get_parameters(state: StateReader) -> Parameters:
    """The parameters of the catalogue."""
    return PARAMETERS.require(state)


def get_datum(state: StateReader, datum_id: Hash) -> Datum | None:
    """An entry of the index."""
    return DATUMS.get(state, datum_id)


def is_admitted(state: StateReader, datum_id: Hash) -> bool:
    """Whether hosting the datum is rewarded."""
    datum = get_datum(state, datum_id)
    return datum is not None and datum.members >= PARAMETERS.require(state).admission_members


def get_totals(state: StateReader) -> CatalogueTotals:
    """Counts over the whole index."""
    return TOTALS.get(state) or CatalogueTotals()


def compute_datum_id(call: ListDatum) -> Hash:
    """The id of the datum that a call lists."""
    return compute_listed_id(call.files_hash, call.size_bytes, call.root)


def compute_listing_fee(parameters: Parameters, size_bytes: int) -> Amount:
    """Base units that listing burns: in proportion to the size, rounded up, at least the minimum."""
    return max(parameters.listing_fee_min, div_up(size_bytes * parameters.listing_fee_per_gib, GIB))


def is_clean_text(text: str, allowed: str = "") -> bool:
    """Whether a text has no unprintable character except those in `allowed`."""
    return all(character in allowed for character in _UNPRINTABLE.findall(text))


def check_invariants(state: StateReader) -> None:
    """The pot holds all curator bonds; the totals count the entries."""
    datums = [datum for _, datum in DATUMS.items(state)]
    assert balances.get_balance(state, POT) == sum(datum.bond for datum in datums)
    needed = PARAMETERS.require(state).admission_members
    admitted = [datum.size_bytes for datum in datums if datum.members >= needed]
    size_bytes = sum(datum.size_bytes for datum in datums)
    assert get_totals(state) == CatalogueTotals(len(datums), len(admitted), size_bytes, sum(admitted))
