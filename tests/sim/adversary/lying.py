"""What a villain tells joining nodes and light clients: false snapshots and false light blocks."""

from chain.block import compute_header_hash
from chain.light import LightBlock
from chain.primitives.codec import Record, decode, encode, replace
from chain.primitives.types import Height, PeerId
from chain.snapshot import SnapshotManifest, compute_manifest_hash
from chain.validator_set import ValidatorChange, build_roster, build_validator_set, compute_roster_hash
from chain.votes import Vote, VoteKind
from p2p.wire.messages import (
    LIGHT_BLOCK_BYTES_MAX,
    LightBlockReply,
    LightBlockRequest,
    SnapshotManifestReply,
    SnapshotManifestRequest,
    SnapshotPartReply,
    SnapshotPartRequest,
    Snapshots,
    SnapshotsRequest,
)
from tests.sim.adversary import forgery
from tests.sim.adversary.behaviour import Behaviour, Villain

LIGHT_LIES = ("own roster", "few signers", "one signer", "header", "truth", "truth")


class SnapshotLiar(Behaviour):
    """Offers snapshots whose manifest is of another height, and parts with a byte changed."""

    def __init__(self, villain: Villain) -> None:
        super().__init__(villain)
        self._manifests: dict[bytes, bytes] = {}
        self._true_names: dict[bytes, bytes] = {}

    def on_request(self, peer: PeerId, request: Record) -> Record | None:
        """A lie about snapshots in place of each answer; light blocks are shown as they are."""
        match request:
            case SnapshotsRequest():
                return self._offer(self.villain.answer_honestly(request))
            case SnapshotManifestRequest(name) if name in self._manifests:
                return SnapshotManifestReply(self._manifests[name])
            case SnapshotPartRequest(name, part) if name in self._true_names:
                # The parts of a false manifest are true: only the manifest's height gives it away.
                return self.villain.answer_honestly(SnapshotPartRequest(self._true_names[name], part))
            case SnapshotPartRequest():
                return self._spoil(self.villain.answer_honestly(request))
        return None

    def _offer(self, honest: Record) -> Record:
        """Each offer, and the same block with a manifest that names another height."""
        if not isinstance(honest, Snapshots):
            return honest
        offers = []
        for offer in honest.offers:
            reply = self.villain.answer_honestly(SnapshotManifestRequest(offer.manifest_hash))
            if isinstance(reply, SnapshotManifestReply):
                self.villain.count(type(self).__name__)
                manifest = decode(SnapshotManifest, reply.manifest)
                forged = encode(replace(manifest, height=manifest.height + 1))
                name = compute_manifest_hash(forged)
                self._manifests[name] = forged
                self._true_names[name] = offer.manifest_hash
                offers += [replace(offer, manifest_hash=name)]
        return Snapshots(tuple(offers))

    def _spoil(self, honest: Record) -> Record:
        if not isinstance(honest, SnapshotPartReply) or not honest.part:
            return honest
        place = self.villain.random.randrange(len(honest.part))
        flipped = honest.part[place] ^ 1
        return SnapshotPartReply(honest.part[:place] + bytes([flipped]) + honest.part[place + 1 :])


class LightLiar(Behaviour):
    """Shows light clients headers that are not final, each height always with the same lie."""

    def __init__(self, villain: Villain) -> None:
        super().__init__(villain)
        self._lies: dict[Height, str] = {}

    def on_request(self, peer: PeerId, request: Record) -> Record | None:
        """A false light block for a true one."""
        if not isinstance(request, LightBlockRequest):
            return None
        reply = self.villain.answer_honestly(request)
        if not isinstance(reply, LightBlockReply) or request.height == 0:
            return None
        block = decode(LightBlock, reply.block, LIGHT_BLOCK_BYTES_MAX)
        lie = self._lies.setdefault(request.height, self.villain.random.choice(LIGHT_LIES))
        if lie != "truth":
            self.villain.count(type(self).__name__)
        return LightBlockReply(encode(self._forge(block, lie)))

    def _forge(self, block: LightBlock, lie: str) -> LightBlock:
        assert block.certificate is not None
        parts = block.certificate.signatures
        match lie:
            case "own roster":
                return self._elect_itself(block)
            case "few signers":
                return replace(block, certificate=replace(block.certificate, signatures=parts[:1]))
            case "one signer":
                repeated = (parts[0],) * len(parts)
                return replace(block, certificate=replace(block.certificate, signatures=repeated))
            case "header":
                header = replace(block.header, time_ms=block.header.time_ms + 1)
                return replace(block, header=header)
        return block

    def _elect_itself(self, block: LightBlock) -> LightBlock:
        """The villain as the only validator, who has signed; everything else of the header is right."""
        keys = self.villain.keys
        change = ValidatorChange(keys.address, keys.consensus.public_key, 1)
        roster = build_roster(build_validator_set([change]))
        header = replace(block.header, validators_hash=compute_roster_hash(roster))
        block_hash = compute_header_hash(header)
        vote = Vote(VoteKind.PRECOMMIT, header.height, 0, block_hash, keys.address)
        signed = forgery.sign_vote(keys, self.genesis_hash, vote)
        certificate = forgery.build_certificate([signed], block_hash, header.height, 0)
        return LightBlock(header, certificate, roster)
