"""The figures in the prose of attacks.md and in the names of mechanisms.md, each from where it is decided."""

from chain.content.tree import LEAF_BYTES
from node.content.debts import DEBT_BYTES_MAX, FALL_RATIO
from node.content.prepayment import PREPAID_BYTES_MAX
from tests.economy.first_edition import BOND_PER_GIB
from tests.economy.hosting.junk import TRIAL_ERAS
from tests.economy.hosting.replicas import KEYS
from tests.economy.hosting.small_data_ghost import KEYS as GHOSTS
from tests.economy.market.jury_owner import BRIBED
from tests.economy.pages.parameters import PPM, PUBLIC, VIDYA, percent
from tests.economy.pages.tables import compute_loss
from tests.economy.world.arena import BOND, DATUM_BYTES, DATUMS, DOWN_PPM, HONEST, MEMBERS, SUPPLY
from tests.economy.world.rules import EPOCH_BLOCKS

EPOCHS, SCALE, SEEDS = 3_000, 12, 20
"""Defaults of `python -m tests.economy`."""
SEEN = ("197,000 VIDYA", "65,000 for junk", "13,000 a day", "0.57 instead of 10 VIDYA per GiB")
"""Quoted: what the specification says was seen under the first edition."""


def list_of_attacks() -> list[str]:
    """Phrases of attacks.md, outside its tables."""
    deadline = PUBLIC.possession.parameters.deadline_blocks
    billions = 3**deadline // 10**9
    assert FALL_RATIO == 8
    return [
        f"{EPOCHS:,} epochs and\n{SEEDS} seeds",
        f"{SUPPLY // VIDYA // 10**6} million VIDYA, {len(HONEST)} honest validator-hosts",
        f"hold {DATUM_BYTES * DATUMS >> 40} TiB in {DATUMS} data",
        f"a bond of {BOND // VIDYA:,}, and {len(MEMBERS)} members",
        f"miss {percent(DOWN_PPM)} of their proofs",
        f"has {EPOCH_BLOCKS} blocks and stands for {SCALE} public epochs",
        f"is divided by {SCALE}",
        f"an epoch stands for {SCALE}",
        f"replicas behind {len(KEYS)} networks |",
        f"what {len(GHOSTS)} keys earn",
        f"{DEBT_BYTES_MAX >> 20} MiB a host, and an eighth",
        f"pays ahead: {PREPAID_BYTES_MAX >> 20} MiB once",
        f"deposits of {len(MEMBERS)} members",
        f"jury grinder, {len(BRIBED)} of {len(HONEST)} bribed |",
        *SEEN,
        f"{BOND_PER_GIB / VIDYA:g} VIDYA per GiB, no bound",
        f"challenged {TRIAL_ERAS} eras before the end",
        f"happens once in {billions}\n  billion epochs",
    ]


def list_of_mechanisms() -> list[str]:
    """Phrases in the names of mechanisms that are built."""
    paid, sold, listed = PUBLIC.rewards.parameters, PUBLIC.sessions.parameters, PUBLIC.catalogue.parameters
    burned = PPM - sold.host_ppm - sold.lockers_ppm
    assert LEAF_BYTES == 1024
    return [
        f"returns after {listed.curator_bond_eras} eras",
        f"stays liable for {listed.sponsor_notice_eras} eras",
        f"halves every {paid.halving_eras} eras",
        f"{percent(paid.subtree_ppm)} of the hosting pool",
        f"until {listed.outside_members} others paid",
        "over up to 32 hosts",
        f"{percent(sold.host_ppm)} host, {percent(burned)} burned, {percent(sold.lockers_ppm)} lockers",
        f"loses {percent(compute_loss())} of its price",
        "at most 1 MiB",
        f"emission of {percent(paid.emission_ppm)}",
        f"released over {PUBLIC.escrow.parameters.release_eras}",
        f"{PUBLIC.possession.parameters.excused_epochs_max} epochs an era",
    ]
