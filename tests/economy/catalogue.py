"""The agents of the table, by the names it shows."""

from collections.abc import Callable

from tests.economy.hosting import (
    excuse_cartel,
    exit_early,
    ghost_host,
    junk,
    key_ager,
    network_squatter,
    partial_storer,
    replicas,
    shared_disk,
    skipper,
    small_data_ghost,
    small_item_farmer,
    subset_flapper,
)
from tests.economy.market import (
    credit_thief,
    curation_grinder,
    curator_blocker,
    early_closer,
    jury_grinder,
    jury_owner,
    match_crowder,
    prepayment_keeper,
    receipt_forger,
    resend_taker,
    sale_refuser,
    self_dealer,
    silent_host,
)
from tests.economy.stake import (
    early_locker,
    fast_blocks,
    fine_drainer,
    griefing_challenger,
    late_delegator,
    link_withholder,
    seed_grinder,
    vote_omitter,
)
from tests.economy.world.arena import Arena
from tests.economy.world.compare import Outcome

Run = Callable[[Arena, int], Outcome]

AGENTS: dict[str, Run] = {
    "ghost host, no disk": ghost_host.run,
    "ghost host, small data": small_data_ghost.run,
    "ghost host, accomplice's disk": shared_disk.run,
    "replicas behind 5 networks": replicas.run,
    "procedural junk": junk.run,
    "partial storer": partial_storer.run,
    "skipper": skipper.run,
    "subset flapper": subset_flapper.run,
    "small-item farmer": small_item_farmer.run,
    "exit before detection": exit_early.run,
    "excuse cartel": excuse_cartel.run,
    "key ager": key_ager.run,
    "fine drainer": fine_drainer.run,
    "just-in-time delegator": late_delegator.run,
    "link withholder": link_withholder.run,
    "seed grinder": seed_grinder.run,
    "fast blocks": fast_blocks.run,
    "griefing challenger": griefing_challenger.run,
    "vote omitter": vote_omitter.run,
    "early locker": early_locker.run,
    "self-dealer": self_dealer.run,
    "receipt forger": receipt_forger.run,
    "credit thief": credit_thief.run,
    "resend taker": resend_taker.run,
    "prepayment keeper": prepayment_keeper.run,
    "early closer": early_closer.run,
    "silent host": silent_host.run,
    "sale refuser": sale_refuser.run,
    "curator blocker": curator_blocker.run,
    "network squatter": network_squatter.run,
    "match crowder": match_crowder.run,
    "curation grinder": curation_grinder.run,
    "jury grinder, 2 of 5 bribed": jury_grinder.run,
    "jury grinder, 4 of 5 bribed": jury_owner.run,
}
