"""Catalogue: parameters, records, storage, events and errors."""

from typing import Annotated

from msgspec import Meta

from chain.errors import DispatchError
from chain.module import Module
from chain.modules import balances
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Era, Hash, Height, Uint, Uint32
from chain.state import StorageMap, StorageValue

MODULE = Module("catalogue", index=7)
POT = balances.compute_pot("catalogue")
SPONSOR_POT = balances.compute_pot("sponsors")

GIB = 2**30
TAGS_MAX = 16
TITLE_BYTES_MAX = 128
LABEL_BYTES_MAX = 32
DESCRIPTION_BYTES_MAX = 2048
SPONSORS_MAX = 32
"""Of one datum, those that are leaving included."""
SPONSOR_PARTS = 16
"""A sponsor brings at least one of so many equal parts of what is asked, so that the places suffice."""
DUE_PER_EPOCH_MAX = 1_024
"""Entries of each queue that one epoch's end takes; the others wait for the next one."""

# The codec bounds characters; `calls` bounds bytes.
Title = Annotated[str, Meta(min_length=1, max_length=TITLE_BYTES_MAX)]
Label = Annotated[str, Meta(min_length=1, max_length=LABEL_BYTES_MAX)]
Description = Annotated[str, Meta(max_length=DESCRIPTION_BYTES_MAX)]


class Parameters(Record):
    """The costs of a listing, and the conditions for its admission."""

    listing_fee_per_gib: Amount
    """Burned."""
    listing_fee_min: Amount
    curator_bond: Amount
    curator_bond_eras: Uint32
    """Full eras after which the curator bond returns, whoever hosts the datum by then."""
    unpaid_eras: Uint32
    """Full eras after the listing in which a datum earns no hosting reward."""
    sponsor_eras: Uint32
    sponsor_copies: Uint32
    """Sponsors bond what so many copies of the datum earn in `sponsor_eras` eras, by the last era's pay."""
    sponsor_per_gib_min: Amount
    sponsor_min: Amount
    """What sponsors bond is at least `sponsor_per_gib_min` per GiB and at least `sponsor_min` in all."""
    sponsor_notice_eras: Uint32
    """Full eras in which the bond of a sponsor that leaves can still be forfeited."""
    outside_members: Uint32
    """Members other than the lister that must have paid for a datum before its weight is not capped."""
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
    """The curator bond; 0 once it has returned."""
    bond_until: Era
    earns_from: Era
    """The first era after the unpaid ones."""
    wanted_in: Era
    """The last era in which a member other than the lister paid for it, or it was sponsored in full."""
    is_due: bool = False
    """Whether the unpaid eras are over."""
    is_junk: bool = False
    sponsored: Amount = 0
    """Bonds of its sponsors, without those that are leaving."""
    fresh: Amount = 0
    """The part of `sponsored` that has come since it was last sponsored in full."""
    needed: Amount | None = None
    """What sponsors had to bond when it was last sponsored in full; None before that."""
    sponsors: Uint32 = 0
    """Those that are leaving included."""
    case: Uint | None = None
    """Number of the open case that a jury decides."""
    members: Uint32 = 0
    """Different members other than the lister that have paid for all of it, up to `outside_members`."""
    holdings: Uint32 = 0
    """Hosts that have registered it, in effect or not yet; kept by `hosting`."""


class Sponsorship(Record):
    """The bond of one sponsor of a datum; from era `unlocks_in` on it can be withdrawn (None: no notice)."""

    amount: Amount
    unlocks_in: Era | None = None


class CatalogueTotals(Record):
    """Counts over the whole index."""

    datums: Uint = 0
    admitted: Uint = 0
    bytes: Uint = 0
    admitted_bytes: Uint = 0


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
DATUMS = StorageMap(MODULE.index, 1, Datum)
DOWNLOADERS = StorageMap(MODULE.index, 2, bool)
"""(datum, member) -> True, for the first `outside_members` that have paid."""
TOTALS = StorageValue(MODULE.index, 3, CatalogueTotals)
SPONSORSHIPS = StorageMap(MODULE.index, 4, Sponsorship)
"""(datum, sponsor)."""
UNPAID = StorageMap(MODULE.index, 5, bool)
"""(first paid era, datum) -> True, for data in their unpaid eras."""
BONDED = StorageMap(MODULE.index, 6, bool)
"""(era, datum) -> True: in this era the curator bond returns."""
PAY_PER_GIB = StorageValue(MODULE.index, 7, int)
"""What a proven and admitted GiB earned in the last era, in base units."""


@MODULE.event(1)
class Listed(Record):
    """A datum is in the index; `burned` is the listing fee, `bond` what its lister locked.

    It earns from era `earns_from` on, if it is sponsored then; the bond returns in era `bond_until`.
    """

    datum: Hash
    lister: Address
    size_bytes: Uint
    burned: Amount
    bond: Amount
    bond_until: Era
    earns_from: Era


@MODULE.event(2)
class Delisted(Record):
    """The lister took the datum back and got the bond, 0 if it had returned before."""

    datum: Hash
    lister: Address
    bond: Amount


@MODULE.event(3)
class Admitted(Record):
    """Hosting the datum is rewarded from now on."""

    datum: Hash
    sponsored: Amount


@MODULE.event(4)
class AdmissionEnded(Record):
    """Hosting the datum is not rewarded any more: it is junk, or its sponsors left."""

    datum: Hash
    sponsored: Amount


@MODULE.event(5)
class Sponsored(Record):
    """`sponsor` bonded `amount`; `fresh` of the `required` sum of all sponsors is there."""

    datum: Hash
    sponsor: Address
    amount: Amount
    fresh: Amount
    required: Amount


@MODULE.event(6)
class SponsorLeft(Record):
    """The bond of `sponsor` counts for the datum no more; it can be withdrawn from era `unlocks_in` on."""

    datum: Hash
    sponsor: Address
    amount: Amount
    unlocks_in: Era


@MODULE.event(7)
class SponsorshipWithdrawn(Record):
    """`sponsor` got the bond back."""

    datum: Hash
    sponsor: Address
    amount: Amount


@MODULE.event(8)
class CuratorBondReturned(Record):
    """The lister got the curator bond back, because its eras are over."""

    datum: Hash
    lister: Address
    bond: Amount


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


@MODULE.error(8)
class StillSponsored(DispatchError):
    """A datum that has sponsors cannot be taken back."""


@MODULE.error(9)
class Junk(DispatchError):
    """A jury has found the datum to be junk: it stays in the index and earns nothing."""


@MODULE.error(10)
class SponsorshipTooSmall(DispatchError):
    """A sponsor brings at least a sixteenth of what is asked, or all that is missing of it."""


@MODULE.error(11)
class TooManySponsors(DispatchError):
    """The datum has as many sponsors as allowed."""


@MODULE.error(12)
class SponsorLeaving(DispatchError):
    """The account has given notice as a sponsor of the datum."""


@MODULE.error(13)
class NotSponsor(DispatchError):
    """The account does not sponsor the datum."""


@MODULE.error(14)
class StillBonded(DispatchError):
    """The sponsor has not given notice, or its notice is not over."""


@MODULE.error(15)
class CaseOpen(DispatchError):
    """A jury decides about the datum: its sponsors' bonds stay until the verdict."""
