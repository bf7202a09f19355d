"""The faults that are planted: each a passage of a module in another wording."""

from tests.sim.planted.audit_bugs import AUDIT_BUGS
from tests.sim.planted.fault import Blinding, Bug, Passage
from tests.sim.planted.fault import plant_one as _bug

CORE, TALLY, POWER = "consensus.core", "consensus.tally", "chain.validator_set"
VOTES, RUNTIME, OFFENCES = "chain.votes", "chain.runtime", "chain.modules.offences"
SETS = "chain.modules.validators.sets"
REPLICA, GOSSIP, SYNC_CHECKS = "node.replica.replica", "node.replica.gossip", "node.replica.sync.checks"
RESTORATION = "node.replica.restoration"
GUARD = "node.replica.signing.guard"
LEDGER, WAL, SIGN_STATE, FILES = "node.ledger.ledger", "storage.wal", "storage.sign_state", "storage.files"

CONSENSUS_BUGS = (
    _bug(
        "lock ignored for a new block",
        CORE,
        "is_free = self.locked_round is None or self.locked_hash == block_hash\n",
        "is_free = True\n",
    ),
    _bug(
        "precommits without locking",
        CORE,
        "            self.locked_hash, self.locked_round = block_hash, self.round\n",
        "",
    ),
    _bug(
        "polka of a block proposed again unchecked",
        CORE,
        "        if not self.tally.has_quorum(PREVOTE, pol_round, block_hash):\n            return False\n",
        "",
    ),
    _bug(
        "valid block not remembered",
        CORE,
        "        self.valid_hash, self.valid_round = block_hash, self.round\n        return True",
        "        return True",
    ),
    _bug("quorum of a half", POWER, "return 3 * power > 2 * total", "return 2 * power > total"),
    _bug(
        "vote counted again when it comes again",
        TALLY,
        "        if any(known.vote == vote for known in earlier):\n            return None\n",
        "",
    ),
    _bug(
        "second vote of an equivocator dropped",
        TALLY,
        "        if len(earlier) >= VOTES_PER_SLOT_MAX and not is_certified:\n",
        "        if earlier:\n",
    ),
    _bug("no propose timeout", CORE, "        self._schedule(TimeoutKind.PROPOSE)\n", ""),
    _bug("no prevote timeout", CORE, "            or self._rule_wait_for_prevotes()\n", ""),
    _bug(
        "no precommit timeout",
        CORE,
        "            or self._rule_precommit_nil()\n            or self._rule_wait_for_precommits()\n",
        "            or self._rule_precommit_nil()\n",
    ),
    _bug(
        "no wish for a decided block that is not here",
        CORE,
        "if self._rule_fetch() or self._rule_decide():",
        "if self._rule_decide():",
    ),
    _bug("no timeliness", CORE, "and received.is_timely and", "and"),
    _bug(
        "invalid block prevoted",
        CORE,
        "is_accepted = self._verdicts[block_hash] and",
        "is_accepted =",
    ),
    Bug(
        "proposal out of turn accepted",
        (
            Passage(CORE, "if proposal.proposer != self._proposers.get(proposal.round):", "if False:"),
            Passage(GOSSIP, "if proposal.proposer != self._proposers.get(proposal.round):", "if False:"),
        ),
    ),
    _bug("prevotes decide", TALLY, "        if vote.kind is VoteKind.PRECOMMIT:\n", "        if True:\n"),
)

CHAIN_BUGS = (
    _bug(
        "signatures of a certificate unchecked",
        VOTES,
        "    for signed in build_certificate_votes(certificate):\n        try:\n",
        "    for signed in ():\n        try:\n",
    ),
    _bug(
        "signers of a certificate counted twice",
        VOTES,
        "    if any(left >= right for left, right in pairwise(signers)):\n",
        "    if any(left > right for left, right in pairwise(signers)):\n",
    ),
    _bug(
        "signatures of votes unchecked",
        VOTES,
        '        raise InvalidVote("bad signature")',
        "        return",
    ),
    _bug(
        "evidence unchecked",
        OFFENCES,
        "        check_evidence(ctx.genesis_hash, members, evidence, ctx.verify)\n",
        "        pass\n",
    ),
    _bug(
        "slashed twice for one offence",
        OFFENCES,
        "    if staking.is_tombstoned(ctx.state, offender):\n        raise AlreadyPunished\n",
        "",
    ),
    _bug(
        "signatures of transactions unchecked",
        RUNTIME,
        "    check(signed)\n",
        "",
    ),
    _bug(
        "state root not compared",
        RUNTIME,
        '    if found.state_root != header.state_root:\n        raise InvalidBlock("state root differs")\n'
        "    return result\n",
        "    sealed = replace(result.block, header=header)\n"
        "    return result._replace(block=sealed, block_hash=compute_header_hash(header))\n",
    ),
    _bug(
        "parent not compared",
        RUNTIME,
        "    if header.height != parent.height + 1 or header.parent_hash != compute_header_hash(parent):\n",
        "    if header.height != parent.height + 1:\n",
    ),
    _bug(
        "proposers do not take turns",
        SETS,
        "    advanced = rotate(following)\n",
        "    advanced = following\n",
    ),
    _bug(
        "validator set one height early",
        SETS,
        "    CURRENT.set(ctx.state, following)\n",
        "    CURRENT.set(ctx.state, advanced)\n",
    ),
    _bug(
        "burned money stays in the supply",
        "chain.modules.balances",
        "    SUPPLY.set(ctx.state, replace(supply, burned=supply.burned + amount, burned_by=causes))\n",
        "",
    ),
)

STORAGE_BUGS = (
    _bug("log written and not synced", WAL, "            self._file.sync()\n", ""),
    _bug(
        "files replaced and not synced",
        FILES,
        "            file.append(data)\n            file.sync()\n",
        "            file.append(data)\n",
    ),
    _bug(
        "renamed files whose directory is not synced",
        FILES,
        "        files.sync_directory(path.parent)\n",
        "",
    ),
    _bug(
        "signature leaves before the sign-state is saved",
        SIGN_STATE,
        "        self._save(_build_state(last.public_key, slot, Signed(sign_bytes, signature)))\n",
        "        self._state = _build_state(last.public_key, slot, Signed(sign_bytes, signature))\n",
    ),
    _bug(
        "block and state committed in two steps",
        LEDGER,
        "        self._store.write_batch(\n"
        "            [\n"
        "                *live.chain.stage_block(stored),\n"
        "                *live.state.stage(result.update, result.changes),\n"
        "                *self._stage_pruning(header.height),\n"
        "            ]\n"
        "        )\n",
        "        self._store.write_batch(live.chain.stage_block(stored))\n"
        "        self._store.write_batch(live.state.stage(result.update, result.changes))\n",
    ),
)

REPLICA_BUGS = (
    _bug("signs without writing the log", REPLICA, "            self._journal.write(entries)\n", ""),
    _bug(
        "log not replayed",
        REPLICA,
        "        pending, asked = replay(core, notes)\n        if self.policy.is_cut(core.height, asked):\n",
        "        pending, asked = [], []\n        if False:\n",
    ),
    _bug(
        "takes part while it catches up",
        REPLICA,
        "        self._sync.catch_up(lambda: self.policy.search_chain(then))\n",
        "        self._sync.catch_up(lambda: None)\n        self.policy.search_chain(then)\n",
    ),
    _bug(
        "time of a proposal unchecked",
        REPLICA,
        "        timely = proposal.pol_round",
        "        timely = True or proposal.pol_round",
    ),
    _bug(
        "invalid candidate taken for valid",
        REPLICA,
        "            return False\n        return True\n\n    def _remember",
        "            return True\n        return True\n\n    def _remember",
    ),
    _bug(
        "equivocation not reported",
        REPLICA,
        "            self._report(evidence)\n",
        "",
    ),
    Bug(
        "neither log nor sign-state consulted",
        (
            Passage(REPLICA, "            self._journal.write(entries)\n", ""),
            Passage(SIGN_STATE, "        if slot <= last.slot:\n", "        if False:\n"),
        ),
    ),
    _bug(
        "certificate unchecked in sync",
        SYNC_CHECKS,
        "    check_certificate(ledger.genesis_hash, ledger.live.get_validators(), certificate, verify)\n",
        "",
    ),
    _bug(
        "certificate unchecked in gossip",
        GOSSIP,
        "        _check(lambda: check_certificate("
        "genesis_hash, core.validator_set, certificate, self._verify))\n",
        "",
    ),
    Bug(
        "what is lost is never sent again",
        (
            Passage(CORE, "        if votes or proposal or polka:\n", "        if False:\n"),
            Passage(GOSSIP, "            self._answer_summary(peer, core, summary)\n", "            pass\n"),
        ),
    ),
    _bug(
        "what a crash interrupted is not taken up again",
        RESTORATION,
        "            pending = [*(output for output in pending if not _is_answer(output, note)), *outputs]\n",
        "            pending = []\n",
    ),
)

GUARD_BUGS = (
    _bug(
        "messages of the own key from peers ignored",
        GUARD,
        "        if not self._is_foreign(message):\n            return None\n        match self.phase:\n",
        "        if self.phase is not Phase.STARTING:\n            return None\n        match self.phase:\n",
    ),
    _bug(
        "chain not searched for signatures of the own key",
        GUARD,
        "        found = [*self._found, *(message for message in seen if self._is_foreign(message))]\n",
        "        found: list[Message] = []\n",
    ),
    _bug(
        "watch of two heights",
        GUARD,
        "        self.watch_ends = max(newest + self._watch_heights, self.watch_ends or 0)\n",
        "        self.watch_ends = max(newest + 2, self.watch_ends or 0)\n",
    ),
)
"""Only runs in which two processes have one key see them."""

BUGS = (*CONSENSUS_BUGS, *CHAIN_BUGS, *STORAGE_BUGS, *REPLICA_BUGS, *GUARD_BUGS, *AUDIT_BUGS)

BLINDING = {
    "own messages never repeated": Blinding("own message repeated", (1, 2, 3, 4)),
    "rounds never skipped": Blinding("round skipped", (29, 65)),
    "summaries never answered": Blinding("missing message sent", (1, 2, 3)),
    "no wish for a decided block that is not here": Blinding("block of a quorum asked for", (1, 9)),
    "trust of light clients never expires": Blinding("trust of the light client expired", (2, 3)),
}
"""Faults that violate no rule, since something else makes up for them, by name."""

FAMILY_OF = {
    "proposal out of turn accepted": "out of turn",
    "second vote of an equivocator dropped": "split voter",
    "slashed twice for one offence": "split voter",
    "equivocation not reported": "split voter",
    "signatures of votes unchecked": "impersonator",
    "signatures of a certificate unchecked": "certificate forger",
    "certificate unchecked in gossip": "certificate forger",
    "signatures of transactions unchecked": "bad transaction",
    "state root not compared": "wrong state root",
    "invalid block prevoted": "wrong state root",
    "invalid candidate taken for valid": "wrong state root",
    "no timeliness": "wrong time",
    "time of a proposal unchecked": "wrong time",
    "evidence unchecked": "evidence forger",
    "evidence of two rounds accepted": "evidence forger",
    "evidence of a prevote and a precommit accepted": "evidence forger",
    "seen votes told apart by signature": "resigning voter",
    "certificate unchecked in sync": "syncing",
    "part of a snapshot unchecked": "joining",
    "snapshot manifest of another height accepted": "joining",
    "lock ignored for a new block": "locks",
    "precommits without locking": "locks",
    "lock not moved up by its own block": "locks",
    "lock never moves to another block": "locks",
    "older polka frees from the lock": "locks",
    "any polka frees from the lock": "locks",
    "polka for nil unlocks": "locks",
    "valid block not remembered": "locks",
    "valid block proposed again with the polka of round 0": "locks",
    "body of a locked block dropped, with room for two bodies": "locks",
    "messages of the own key from peers ignored": "copied key",
    "chain not searched for signatures of the own key": "copied key",
    "watch of two heights": "copied key",
    "certificate of another block served to light clients accepted": "changing sets",
    "announced roster unchecked by light clients": "changing sets",
    "light client skips without a third of the trusted power": "changing sets",
}
"""Faults that few general seeds see, and the family of runs in which they are looked for (`families`)."""
