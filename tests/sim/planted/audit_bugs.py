"""Further faults that are planted: the kinds that an independent audit found unseen."""

from tests.sim.planted.fault import Bug, Passage, plant_one

CORE, TALLY, VOTES = "consensus.core", "consensus.tally", "chain.votes"
OFFENCES, BALANCES, POWER = "chain.modules.offences", "chain.modules.balances", "chain.validator_set"
LIGHT, SNAPSHOT, LEDGER = "chain.light", "chain.snapshot", "node.ledger.ledger"
REPLICA, GOSSIP, SEEN = "node.replica.replica", "node.replica.gossip", "node.replica.seen_messages"

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
        "expired evidence accepted",
        OFFENCES,
        "    if height > ctx.height or validators.is_expired(ctx.state, ctx.height, ctx.time_ms, height):\n",
        "    if height > ctx.height:\n",
    ),
)

LOCK_BUGS = (
    plant_one(
        "lock not moved up by its own block",
        CORE,
        "            self.locked_hash, self.locked_round = block_hash, self.round\n",
        "            if self.locked_hash != block_hash:\n"
        "                self.locked_hash, self.locked_round = block_hash, self.round\n",
    ),
    plant_one(
        "lock never moves to another block",
        CORE,
        "            self.locked_hash, self.locked_round = block_hash, self.round\n",
        "            if self.locked_hash is None:\n"
        "                self.locked_hash, self.locked_round = block_hash, self.round\n",
    ),
    plant_one(
        "older polka frees from the lock",
        CORE,
        "self.locked_round is None or self.locked_round <= pol_round or self.locked_hash",
        "self.locked_round is None or self.locked_round >= pol_round or self.locked_hash",
    ),
    plant_one(
        "any polka frees from the lock",
        CORE,
        "self.locked_round is None or self.locked_round <= pol_round or self.locked_hash",
        "self.locked_round is None or pol_round is not None or self.locked_hash",
    ),
    plant_one(
        "polka for nil unlocks",
        CORE,
        "        self._precommit(None)\n        return True\n",
        "        self.locked_hash = self.locked_round = None\n"
        "        self._precommit(None)\n        return True\n",
    ),
    plant_one(
        "valid block proposed again with the polka of round 0",
        CORE,
        "            self._send_proposal(self.valid_hash, self.valid_round)\n",
        "            self._send_proposal(self.valid_hash, 0)\n",
    ),
    plant_one(
        "nil precommits counted for a block",
        TALLY,
        "slot.powers[vote.block_hash])\n\n    def _note_commit",
        "slot.any_power)\n\n    def _note_commit",
    ),
    plant_one(
        "two thirds are a quorum",
        POWER,
        "return 3 * power > 2 * total",
        "return 3 * power >= 2 * total",
    ),
)

GOSSIP_BUGS = (
    plant_one(
        "decides only in its own round",
        CORE,
        "            if block_hash not in self._verdicts:\n                continue\n",
        "            if block_hash not in self._verdicts or round != self.round:\n                continue\n",
    ),
    plant_one(
        "timers of the last height go on",
        REPLICA,
        "        self._timers.cancel_all()\n        height = self.ledger.height + 1\n",
        "        height = self.ledger.height + 1\n",
    ),
    Bug(
        "seen votes told apart by signature",
        (
            Passage(SEEN, "            vote not in self._votes\n", "            signed not in self._votes\n"),
            Passage(SEEN, "        self._votes.add(vote)\n", "        self._votes.add(signed)\n"),
        ),
    ),
    plant_one(
        "own messages never repeated",
        CORE,
        "        if votes or proposal or polka:\n",
        "        if False:\n",
    ),
    plant_one(
        "summaries never answered",
        GOSSIP,
        "            self._answer_summary(peer, core, summary)\n",
        "            pass\n",
    ),
    plant_one(
        "rounds never skipped", CORE, "            self._rule_skip()\n            or self", "            self"
    ),
    Bug(
        "body of a locked block dropped, with room for two bodies",
        (
            Passage(REPLICA, "CANDIDATES_MAX = 16\n", "CANDIDATES_MAX = 2\n"),
            Passage(
                REPLICA, "self.core.valid_hash, self.core.locked_hash, *self.core.tally.commits}", "None}"
            ),
        ),
    ),
    plant_one(
        "votes of others counted as own after a crash",
        "node.replica.signing.policy",
        "case VoteReceived(signed) if signed.vote.validator == me:",
        "case VoteReceived(signed):",
    ),
)

STORE_BUGS = (
    plant_one(
        "state head not in the batch of its block",
        "storage.state_store",
        "        entries.append(self._meta.entry(_HEAD_KEY, encode(StateHead(tree.version, tree.root))))\n",
        "",
    ),
    plant_one(
        "places of transactions off by one height",
        "storage.chain_store",
        "encode(TxPlace(stored.height, index))",
        "encode(TxPlace(stored.height - 1, index))",
    ),
    plant_one(
        "batch of the chain store not synced",
        LEDGER,
        "                *self._stage_pruning(header.height),\n            ]\n",
        "                *self._stage_pruning(header.height),\n            ],\n            sync=False,\n",
    ),
    plant_one(
        "snapshot manifest of another height accepted",
        SNAPSHOT,
        "    if manifest.height != height:\n",
        "    if False:\n",
    ),
    plant_one(
        "part of a snapshot unchecked",
        SNAPSHOT,
        "    if subtree.slot != manifest.slots[place]:\n",
        "    if False:\n",
    ),
    plant_one(
        "certificate of another block served to light clients accepted",
        LIGHT,
        "(certificate.height, certificate.block_hash) != (header.height, compute_header_hash(header))",
        "False",
    ),
    plant_one(
        "announced roster unchecked by light clients",
        LIGHT,
        "    if block.header.validators_hash != trusted.header.next_validators_hash:\n",
        "    if False:\n",
    ),
    plant_one(
        "light client skips without a third of the trusted power",
        LIGHT,
        "    if not has_honest_member(power, total):\n",
        "    if False:\n",
    ),
    plant_one(
        "trust of light clients never expires",
        LIGHT,
        "    if age_ms >= rules.trusting_period_ms:\n",
        "    if False:\n",
    ),
)

ECONOMY_BUGS = (
    plant_one(
        "minted money given twice",
        BALANCES,
        "    _give(ctx.state, payee, amount)\n    supply = get_supply(ctx.state)\n"
        "    SUPPLY.set(ctx.state, replace(supply, minted",
        "    _give(ctx.state, payee, 2 * amount)\n    supply = get_supply(ctx.state)\n"
        "    SUPPLY.set(ctx.state, replace(supply, minted",
    ),
    plant_one(
        "slashed stake not burned",
        "chain.modules.staking.effects",
        "    balances.burn(ctx, POT, burned, balances.BurnCause.SLASHES)\n",
        "",
    ),
    plant_one(
        "burned part of a settlement not burned",
        "chain.modules.sessions.calls",
        "    balances.burn(ctx, POT, parts.burned, balances.BurnCause.DOWNLOADS)\n",
        "",
    ),
    plant_one(
        "unbonding stake paid out at once",
        "chain.modules.staking.calls",
        "if chunk.unlocks_in > ctx.era)",
        "if chunk.unlocks_in > ctx.era + 3)",
    ),
    plant_one(
        "a unit lost in each transfer",
        BALANCES,
        "    _give(ctx.state, payee, amount)\n\n\ndef mint",
        "    _give(ctx.state, payee, amount - 1)\n\n\ndef mint",
    ),
    plant_one(
        "proposer priority off by one",
        POWER,
        "    priorities[chosen] -= compute_total_power(validator_set)\n",
        "    priorities[chosen] -= compute_total_power(validator_set) - 1\n",
    ),
    plant_one(
        "priorities not centred",
        POWER,
        "    return [priority - mean for priority in priorities]\n",
        "    return [priority - mean + 1 for priority in priorities]\n",
    ),
)

AUDIT_BUGS = (*EVIDENCE_BUGS, *LOCK_BUGS, *GOSSIP_BUGS, *STORE_BUGS, *ECONOMY_BUGS)
