"""Catalogue: the private index; each entry is a datum with its Merkle root and its search texts.

Listing burns a fee by size and locks a curator bond, which returns after `curator_bond_eras`, whoever hosts
the datum by then. A datum can be hosted and sold at once, but it is *admitted*, that is, hosting it is
rewarded, only once its unpaid eras are over and it is *sponsored*: anybody, together with others, bonds what
`sponsor_copies` copies of it earn in `sponsor_eras` eras. The bonds stay as long as the datum earns, and some
eras of notice longer; a jury (`juries`) that finds the datum to be junk takes them. So whoever wants pay for
junk risks more than the pay of the time that a jury needs. The listings of genesis are admitted at once: the
people who sign the chain spec answer for them.

A call does not name the datum: its id is computed from what the call lists. So no datum can be listed with a
root or size that is not its own; wrong ones give an id that belongs to no manifest.

A datum also remembers in which era it was last wanted (paid for by a member other than its lister, or
sponsored in full), and how many such members have paid for it: `rewards` lowers and caps its weight by these.

Invariants: the pots hold the sums of all curator bonds and of all sponsors' bonds; the totals count the
entries.

Files: types, queries, effects (writes, queues, functions for other modules), calls (list, delist),
sponsoring, genesis (and invariants).
"""

from chain.modules.catalogue.calls import (
    Delist,
    ListDatum,
    compute_datum_id,
    delist,
    list_datum,
)
from chain.modules.catalogue.effects import (
    close_case,
    condemn,
    count_holding,
    on_epoch_end,
    open_case,
    record_paid_download,
    record_pay,
)
from chain.modules.catalogue.genesis import GenesisConfig, build_genesis, check_invariants
from chain.modules.catalogue.queries import (
    compute_listing_fee,
    compute_required,
    get_datum,
    get_parameters,
    get_pay_per_gib,
    get_required,
    get_sponsorship,
    get_totals,
    is_admitted,
    is_earning,
    list_sponsorships,
)
from chain.modules.catalogue.sponsoring import (
    LeaveSponsorship,
    Sponsor,
    WithdrawSponsorship,
    leave_sponsorship,
    sponsor,
    withdraw_sponsorship,
)
from chain.modules.catalogue.types import (
    DATUMS,
    DESCRIPTION_BYTES_MAX,
    DOWNLOADERS,
    GIB,
    LABEL_BYTES_MAX,
    MODULE,
    POT,
    SPONSOR_POT,
    SPONSORSHIPS,
    TAGS_MAX,
    TITLE_BYTES_MAX,
    TOTALS,
    AdmissionEnded,
    Admitted,
    AlreadyListed,
    CaseOpen,
    CatalogueTotals,
    CuratorBondReturned,
    Datum,
    Delisted,
    Junk,
    Listed,
    NotListed,
    NotLister,
    NotSponsor,
    Parameters,
    SizeOutOfBounds,
    Sponsored,
    SponsorLeaving,
    SponsorLeft,
    Sponsorship,
    SponsorshipTooSmall,
    SponsorshipWithdrawn,
    StillBonded,
    StillHosted,
    StillSponsored,
    TextTooLong,
    TooManySponsors,
    UnprintableText,
)
