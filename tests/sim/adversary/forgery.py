"""Records that are well signed and wrong: a validator's key can make them, and no honest node does.

A forged block is wrong in one place and right in all others: its roots are those of its content, so that no
other check can refuse it first. Not here: who gets it (`behaviour`).
"""

from collections.abc import Iterable, Sequence

from chain import runtime
from chain.block import (
    Block,
    Header,
    Inherents,
    compute_extrinsics_root,
    compute_header_hash,
    list_transaction_ids,
)
from chain.primitives.codec import encode, replace
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.types import Hash, Round, TimeMs
from chain.transaction import SignedTransaction
from chain.votes import (
    CertificateSignature,
    CommitCertificate,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    get_proposal_signing_bytes,
    get_vote_signing_bytes,
)
from node.ledger.ledger import Ledger
from p2p.wire.messages import CompactProposal
from tests.sim.world.accounts import ValidatorKeys

UNBOUNDED = 2**31


def sign_vote(keys: ValidatorKeys, genesis_hash: Hash, vote: Vote) -> SignedVote:
    """The message, signed without any check."""
    return SignedVote(vote, keys.consensus.sign(get_vote_signing_bytes(genesis_hash, vote)))


def sign_proposal(keys: ValidatorKeys, genesis_hash: Hash, proposal: Proposal) -> SignedProposal:
    """The message, signed without any check."""
    return SignedProposal(proposal, keys.consensus.sign(get_proposal_signing_bytes(genesis_hash, proposal)))


def build_compact(signed: SignedProposal, block: Block) -> CompactProposal:
    """The compact proposal of a block."""
    return CompactProposal(signed, encode(block.header), encode(block.inherents), list_transaction_ids(block))


def propose(
    keys: ValidatorKeys, genesis_hash: Hash, block: Block, round: Round, pol_round: Round | None = None
):
    """The message that proposes the block."""
    block_hash = compute_header_hash(block.header)
    proposal = Proposal(block.header.height, round, block_hash, pol_round, keys.address)
    return build_compact(sign_proposal(keys, genesis_hash, proposal), block)


def rebuild(
    ledger: Ledger,
    block: Block,
    *,
    time_ms: TimeMs | None = None,
    transactions: Iterable[SignedTransaction] | None = None,
) -> Block:
    """The block with another time or other transactions and the roots that follow from them.

    No bound of a block is kept and no signature is verified. Raises InvalidTransaction for what cannot be
    executed at all.
    """
    taken = block.transactions if transactions is None else tuple(transactions)
    header = replace(block.header, time_ms=block.header.time_ms if time_ms is None else time_ms)
    run = runtime.start_block(
        ledger.state, ledger.genesis_hash, header.height, header.time_ms, header.proposer
    )
    run.parameters = replace(
        run.parameters,
        block_weight_max=UNBOUNDED,
        block_bytes_max=UNBOUNDED,
        block_transactions_max=UNBOUNDED,
    )
    runtime.process_block_start(run, block.inherents)
    for signed in taken:
        runtime.process_transaction(run, signed, lambda _: None)
    bound = seal(header, block.inherents, taken)
    return runtime.finish_block(run, ledger.state, bound).block


def seal(header: Header, inherents: Inherents, transactions: Sequence[SignedTransaction]) -> Block:
    """The block whose header binds this body; what follows from executing it stays as it was."""
    block = Block(header, inherents, tuple(transactions))
    root = compute_extrinsics_root(inherents, list_transaction_ids(block))
    return replace(block, header=replace(header, extrinsics_root=root))


def spoil_state_root(block: Block) -> Block:
    """The block with a state root that is not its own."""
    root = hash_bytes(Domain.HEADER, block.header.state_root)
    return replace(block, header=replace(block.header, state_root=root))


def appropriate(block: Block, keys: ValidatorKeys) -> Block:
    """The block in the name of this validator, without the beacon link, which is its proposer's."""
    inherents = Inherents(None, block.inherents.last_commit)
    return seal(replace(block.header, proposer=keys.address), inherents, block.transactions)


def build_certificate(votes: Iterable[SignedVote], block_hash: Hash, height: int, round: Round):
    """A commit certificate of these signatures, one per signer, whatever they are for."""
    parts = {one.vote.validator: CertificateSignature(one.vote.validator, one.signature) for one in votes}
    return CommitCertificate(height, round, block_hash, tuple(parts[who] for who in sorted(parts)))
