"""The rules a run is under: the public profile with its time scaled, or the values of the first edition.

One simulated epoch stands for `scale` public ones: it mints what they mint, and everything that a profile
counts in epochs or blocks is divided by the same number. An epoch has two blocks: proofs are accepted in the
first, the second judges and pays.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from chain.genesis import ChainSpec
from chain.primitives.codec import replace
from node.home.profiles import load_profile
from tests.economy.first_edition import change_spec, run_first_edition

FIRST, SECOND = "first", "second"
EPOCH_BLOCKS = 2
VIDYA = 10**9
GIB = 2**30


def build_profile(rules: str, scale: int) -> ChainSpec:
    """The public profile under `rules`, with its time scaled."""
    public = load_profile("public")
    scaled = replace(
        public,
        system=_change(public.system, **_scale_system(public, scale)),
        beacon=_change(public.beacon, links_max=10**7),
        possession=_change(public.possession, **_scale_possession(public, scale)),
        sessions=_change(
            public.sessions,
            settle_blocks=EPOCH_BLOCKS * public.system.parameters.era_epochs // scale,
            lifetime_blocks_max=EPOCH_BLOCKS * public.system.parameters.era_epochs // scale,
        ),
        juries=_change(
            public.juries,
            commit_epochs=public.juries.parameters.commit_epochs // scale,
            reveal_epochs=public.juries.parameters.reveal_epochs // scale,
        ),
        offences=_change(
            public.offences,
            jail_epochs=max(1, public.offences.parameters.jail_epochs // scale),
            offline_epochs=public.offences.parameters.offline_epochs // scale,
        ),
    )
    return scaled if rules == SECOND else change_spec(scaled)


def _change(config: Any, **values: int) -> Any:
    return replace(config, parameters=replace(config.parameters, **values))


def _scale_system(public: ChainSpec, scale: int) -> dict[str, int]:
    parameters = public.system.parameters
    epoch_ms = parameters.block_ms * parameters.epoch_blocks * scale
    era_epochs = parameters.era_epochs // scale
    unbonding = public.staking.parameters.unbonding_eras * era_epochs * EPOCH_BLOCKS
    return {
        "block_ms": epoch_ms // EPOCH_BLOCKS,
        "epoch_blocks": EPOCH_BLOCKS,
        "era_epochs": era_epochs,
        "evidence_age_blocks": min(parameters.evidence_age_blocks, unbonding),
    }


def _scale_possession(public: ChainSpec, scale: int) -> dict[str, int]:
    parameters = public.possession.parameters
    return {
        "deadline_blocks": 1,
        "sale_pause_blocks": 0,
        "window_epochs": parameters.window_epochs // scale,
        "credit_proven_epochs": max(1, parameters.credit_proven_epochs // scale),
        "credits_max": max(1, parameters.credits_max // scale),
        "excused_epochs_max": max(1, parameters.excused_epochs_max // scale),
    }


@contextmanager
def enforce(rules: str) -> Iterator[None]:
    """Run what is inside under the functions of `rules`."""
    with run_first_edition() if rules == FIRST else nullcontext():
        yield
