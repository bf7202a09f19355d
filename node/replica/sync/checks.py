"""What is wrong with blocks that a peer sent, and whose fault it is.

A reply is compared with its request on arrival. A block is checked when it is the next one, since only then
the validator set of its height is known: first its certificate, with *every* signature (CometBFT skipped
those after two thirds until #5663), then its body. These faults are the sender's. If a whole block with a
valid certificate is invalid here, then this node or two thirds of the power is wrong: the node stops, as it
does when consensus decides such a block.
"""

from chain.block import Block, compute_header_hash
from chain.errors import ChainError, ForgedBody, InvalidBlock
from chain.primitives.codec import decode
from chain.primitives.types import Height
from chain.runtime import BlockResult
from chain.votes import Verify, check_certificate
from node.ledger.ledger import Ledger
from node.replica.errors import ConsensusHalted
from node.replica.sync.peer_heights import LIE_POINTS
from p2p.errors import PeerFault
from p2p.wire.messages import Blocks, FinalBlock


def find_reply_fault(heights: range, reply: Blocks) -> PeerFault | None:
    """How a reply differs from the request for these heights; no signature is checked."""
    shown = [final.certificate.height for final in reply.blocks]
    if not shown:
        return PeerFault(f"claims block {heights.start} and does not deliver it", LIE_POINTS)
    if reply.start != heights.start or shown != list(heights[: len(shown)]):
        return PeerFault(f"sends other blocks than {heights.start} to {heights.stop - 1}", LIE_POINTS)
    return None


def execute_final(
    ledger: Ledger, verify: Verify, height: Height, final: FinalBlock
) -> BlockResult | PeerFault | None:
    """The effect of a final block, or the fault to charge its sender with; None if the head moved on.

    Raises ConsensusHalted.
    """
    if ledger.live.height + 1 != height:
        return None
    try:
        block = _decode_final(ledger, verify, final)
    except ChainError as error:
        return _build_fault(height, error)
    try:
        return ledger.execute(block)
    except ForgedBody as error:
        return _build_fault(height, error)
    except InvalidBlock as error:
        raise ConsensusHalted(
            f"block {final.certificate.block_hash.hex()} at height {height}: {error}"
        ) from error


def find_final_fault(ledger: Ledger, verify: Verify, height: Height, final: FinalBlock) -> PeerFault | None:
    """Why this is not the final block of that height; None if it is, or if the head moved on."""
    if ledger.live.height + 1 != height:
        return None
    try:
        _decode_final(ledger, verify, final)
    except ChainError as error:
        return _build_fault(height, error)
    return None


def _decode_final(ledger: Ledger, verify: Verify, final: FinalBlock) -> Block:
    """The next block, after checking that the certificate makes it final; raises ChainError."""
    block, certificate = decode(Block, final.block), final.certificate
    if not block.header.height == certificate.height == ledger.live.height + 1:
        raise InvalidBlock("not the height asked for")
    if certificate.block_hash != compute_header_hash(block.header):
        raise InvalidBlock("the certificate is of another block")
    check_certificate(ledger.genesis_hash, ledger.live.get_validators(), certificate, verify)
    return block


def _build_fault(height: Height, error: ChainError) -> PeerFault:
    return PeerFault(f"block {height}: {error}", LIE_POINTS)
