"""Further faults that `planted` plants: the kinds that an independent audit found unseen."""

from tests.sim.planted_fault import plant_one

CORE, TALLY, VOTES = "consensus.core", "consensus.tally", "chain.votes"
OFFENCES = "chain.modules.offences"

EVIDENCE_BUGS = (
    plant_one(
        "evidence of two rounds accepted",
        VOTES,
        "    if (first.kind, first.height, first.round, first.validator) != (\n"
        "        second.kind,\n"
        "        second.height,\n"
        "        second.round,\n",
        "    if (first.kind, first.height, first.validator) != (\n"
        "        second.kind,\n"
        "        second.height,\n",
    ),
    plant_one(
        "evidence of a prevote and a precommit accepted",
        VOTES,
        "    if (first.kind, first.height, first.round, first.validator) != (\n        second.kind,\n",
        "    if (first.height, first.round, first.validator) != (\n",
    ),
    plant_one(
        "evidence of proposals of two rounds accepted",
        VOTES,
        "(first.height, first.round, first.proposer) != (second.height,",
        "(first.height, second.round, first.proposer) != (second.height,",
    ),
    plant_one(
        "expired evidence accepted",
        OFFENCES,
        "    if height > ctx.height or validators.is_expired(ctx.state, ctx.height, ctx.time_ms, height):\n",
        "    if height > ctx.height:\n",
    ),
)

AUDIT_BUGS = EVIDENCE_BUGS
