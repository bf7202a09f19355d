"""The faults that `planted` plants: each a passage of a module in another wording, and seeds that see it."""

from tests.sim.planted_audit import AUDIT_BUGS
from tests.sim.planted_fault import Bug, Passage
from tests.sim.planted_fault import plant_one as _bug

CORE, TALLY, POWER = "consensus.core", "consensus.tally", "chain.validator_set"
VOTES, RUNTIME, OFFENCES = "chain.votes", "chain.runtime", "chain.modules.offences"
SETS = "chain.modules.validators.sets"
REPLICA, GOSSIP, SYNC_CHECKS = "node.replica.replica", "node.replica.gossip", "node.replica.sync.checks"
RESTORATION = "node.replica.restoration"
LEDGER, WAL, SIGN_STATE, FILES = "node.ledger.ledger", "storage.wal", "storage.sign_state", "storage.files"

SEEDS_OF: dict[str, tuple[int, ...]] = {
    "lock ignored for a new block": (23,),
    "precommits without locking": (23,),
    "polka of a block proposed again unchecked": (77,),
    "valid block not remembered": (23,),
    "quorum of a half": (1,),
    "vote counted again when it comes again": (2,),
    "second vote of an equivocator dropped": (9,),
    "no propose timeout": (1,),
    "no prevote timeout": (1,),
    "no precommit timeout": (1,),
    "no wish for a decided block that is not here": (118,),
    "no timeliness": (12,),
    "invalid block prevoted": (3,),
    "proposal out of turn accepted": (21,),
    "prevotes decide": (1,),
    "signatures of a certificate unchecked": (3,),
    "signers of a certificate counted twice": (33,),
    "signatures of votes unchecked": (3,),
    "evidence unchecked": (50,),
    "slashed twice for one offence": (3,),
    "signatures of transactions unchecked": (3,),
    "state root not compared": (41,),
    "parent not compared": (60,),
    "proposers do not take turns": (2,),
    "validator set one height early": (13,),
    "burned money stays in the supply": (1,),
    "log written and not synced": (1,),
    "files replaced and not synced": (1,),
    "renamed files whose directory is not synced": (1,),
    "signature leaves before the sign-state is saved": (1,),
    "block and state committed in two steps": (48,),
    "signs without writing the log": (1,),
    "log not replayed": (12,),
    "takes part while it catches up": (5, 7),
    "time of a proposal unchecked": (12,),
    "invalid candidate taken for valid": (3,),
    "equivocation not reported": (9,),
    "neither log nor sign-state consulted": (1,),
    "certificate unchecked in sync": (156, 278),
    "certificate unchecked in gossip": (3, 14),
    "what is lost is never sent again": (1,),
    "what a crash interrupted is not taken up again": (3, 12),
    "any polka frees from the lock": (32,),
    "batch of the chain store not synced": (1,),
    "body of a locked block dropped, with room for two bodies": (48,),
    "certificate of another block served to light clients accepted": (71,),
    "evidence of a prevote and a precommit accepted": (21,),
    "evidence of two rounds accepted": (21,),
    "expired evidence accepted": (209,),
    "lock never moves to another block": (76,),
    "lock not moved up by its own block": (201,),
    "nil precommits counted for a block": (1,),
    "older polka frees from the lock": (32,),
    "part of a snapshot unchecked": (130,),
    "polka for nil unlocks": (25,),
    "seen votes told apart by signature": (99,),
    "two thirds are a quorum": (9,),
    "valid block proposed again with the polka of round 0": (57,),
    "votes of others counted as own after a crash": (3,),
    "announced roster unchecked by light clients": (258,),
    "light client skips without a third of the trusted power": (66,),
    "snapshot manifest of another height accepted": (130,),
    "slashed stake not burned": (22,),
    "minted money given twice": (1,),
    "proposer priority off by one": (1,),
    "priorities not centred": (1,),
    "burned part of a settlement not burned": (4,),
}

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

BUGS = (*CONSENSUS_BUGS, *CHAIN_BUGS, *STORAGE_BUGS, *REPLICA_BUGS, *AUDIT_BUGS)
