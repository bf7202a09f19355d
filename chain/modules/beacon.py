"""Beacon: public randomness from hash chains that validators committed to before they could know its effect.

An account commits to the tip of a chain x[i+1] = H(x[i]) and reveals it backwards, one link each time it
proposes a block. All reveals of an epoch are folded, in order, into the seed of the next epoch. A reveal
can be withheld but not chosen, so the proposer of a block at the end of an epoch can choose between two
seeds; withholding is counted here and punished in `offences`. A new chain is in use two epochs after its
commitment, so that nobody can pick a chain knowing the reveals that it will be mixed with.

Not here: what the seed is used for (possession).
"""

from chain.errors import DispatchError, InvalidBlock, InvalidChainSpec
from chain.module import Context, Module
from chain.primitives.codec import Record
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.types import Address, Epoch, Hash, Uint32
from chain.state import StateReader, StorageMap, StorageValue

MODULE = Module("beacon", index=6)

CHECKPOINT_LINKS = 256
"""A node keeps one link in so many of its chain, and computes the links between them."""
DELAY_EPOCHS = 2


class Parameters(Record):
    """Lengths of chains, and how long seeds are kept."""

    links_max: Uint32
    renewal_links: Uint32
    """A new chain may be committed once no more than this many links are left."""
    seeds_kept: Uint32
    """Epochs whose seeds and misses stay in the state; at least 4, because sampling reads older seeds."""


class Chain(Record):
    """A hash chain: the link revealed last (at first its tip), the links left, the first epoch of use."""

    tip: Hash
    links: Uint32
    from_epoch: Epoch


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
CHAINS = StorageMap(MODULE.index, 1, Chain)
NEXT_CHAINS = StorageMap(MODULE.index, 2, Chain)
"""The next chain of an account; replaces the one in CHAINS from its `from_epoch` on."""
SEEDS = StorageMap(MODULE.index, 3, bytes)
MIX = StorageValue(MODULE.index, 4, bytes)
"""The seed of this epoch, hashed with each reveal so far."""
MISSES = StorageMap(MODULE.index, 5, int)
"""(epoch, account) -> blocks proposed without a reveal."""


@MODULE.event(1)
class ChainCommitted(Record):
    """`account` reveals the chain with this tip from `from_epoch` on."""

    account: Address
    tip: Hash
    links: Uint32
    from_epoch: Epoch


@MODULE.event(2)
class RevealMissed(Record):
    """The proposer revealed no link."""

    account: Address
    epoch: Epoch


@MODULE.event(3)
class SeedSealed(Record):
    """The seed of `epoch` is known."""

    epoch: Epoch
    seed: Hash


@MODULE.error(1)
class LinksOutOfBounds(DispatchError):
    """A chain has at least one link and at most `links_max`."""


@MODULE.error(2)
class ChainNotUsed(DispatchError):
    """The account's chain has too many links left to be replaced."""


class CommitChain(Record):
    """Commit to a hash chain of `links` links with this tip."""

    tip: Hash
    links: Uint32


@MODULE.call(1, CommitChain, weight=100)
def commit_chain(ctx: Context, sender: Address, call: CommitChain) -> None:
    """Open to any account, for its first chain, or for the next one when few links are left."""
    parameters = get_parameters(ctx.state)
    if not 1 <= call.links <= parameters.links_max:
        raise LinksOutOfBounds
    used = get_chain(ctx.state, sender, ctx.epoch)
    if used is not None and used.links > parameters.renewal_links:
        raise ChainNotUsed(f"{used.links} links left")
    if used is not None:
        # The chain in use may still lie in NEXT_CHAINS, which is written below.
        CHAINS.set(ctx.state, used, sender)
    from_epoch = ctx.epoch + DELAY_EPOCHS
    NEXT_CHAINS.set(ctx.state, Chain(call.tip, call.links, from_epoch), sender)
    ctx.emit(ChainCommitted(sender, call.tip, call.links, from_epoch))


def process_reveal(ctx: Context, reveal: Hash | None) -> None:
    """Fold the proposer's link into the seed, or count a miss; raises InvalidBlock for a wrong link."""
    if reveal is None:
        MISSES.set(ctx.state, get_misses(ctx.state, ctx.epoch, ctx.proposer) + 1, ctx.epoch, ctx.proposer)
        ctx.emit(RevealMissed(ctx.proposer, ctx.epoch))
        return
    chain = get_chain(ctx.state, ctx.proposer, ctx.epoch)
    if chain is None or chain.links == 0:
        raise InvalidBlock("a beacon link from a proposer that has none left")
    if hash_bytes(Domain.BEACON_LINK, reveal) != chain.tip:
        raise InvalidBlock("not the next link of the proposer's beacon chain")
    if NEXT_CHAINS.get(ctx.state, ctx.proposer) == chain:
        NEXT_CHAINS.delete(ctx.state, ctx.proposer)
    CHAINS.set(ctx.state, Chain(reveal, chain.links - 1, chain.from_epoch), ctx.proposer)
    MIX.set(ctx.state, hash_bytes(Domain.BEACON, MIX.require(ctx.state) + reveal))


def on_epoch_end(ctx: Context) -> None:
    """Seal the seed of the next epoch and delete seeds and misses older than `seeds_kept` epochs."""
    seed = hash_bytes(Domain.BEACON, MIX.require(ctx.state))
    SEEDS.set(ctx.state, seed, ctx.epoch + 1)
    MIX.set(ctx.state, seed)
    ctx.emit(SeedSealed(ctx.epoch + 1, seed))
    forgotten = ctx.epoch + 1 - get_parameters(ctx.state).seeds_kept
    if forgotten >= 0:
        SEEDS.delete(ctx.state, forgotten)
        for account, _ in MISSES.items(ctx.state, forgotten):
            MISSES.delete(ctx.state, forgotten, account)


class GenesisConfig(Record):
    """Chains that are in use from the first block on: (account, tip, links)."""

    parameters: Parameters
    commitments: tuple[tuple[Address, Hash, Uint32], ...] = ()


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """The first seed is the genesis hash, which covers the chains: nobody could choose a chain to fit it."""
    if config.parameters.seeds_kept < 4:
        raise InvalidChainSpec("beacon: seeds_kept at least 4")
    PARAMETERS.set(ctx.state, config.parameters)
    SEEDS.set(ctx.state, ctx.genesis_hash, 0)
    MIX.set(ctx.state, ctx.genesis_hash)
    for account, tip, links in config.commitments:
        if not 1 <= links <= config.parameters.links_max:
            raise LinksOutOfBounds
        CHAINS.set(ctx.state, Chain(tip, links, 0), account)


def compute_chain(secret: Hash, links: int) -> Hash:
    """The tip of the chain of `links` links that starts at `secret`."""
    return compute_checkpoints(secret, links)[-1]


def compute_link(secret: Hash, links: int, position: int) -> Hash:
    """The link to reveal after `position` others of a chain of `links`. Costs up to `links` hashes."""
    assert 0 <= position < links
    return compute_chain(secret, links - 1 - position)


def compute_checkpoints(secret: Hash, links: int) -> tuple[Hash, ...]:
    """Every `CHECKPOINT_LINKS`-th link from the secret on, and last the tip, even if it is one of them."""
    kept = [secret]
    link = secret
    for position in range(1, links + 1):
        link = hash_bytes(Domain.BEACON_LINK, link)
        if position % CHECKPOINT_LINKS == 0:
            kept.append(link)
    return (*kept, link)


def compute_next_link(checkpoints: tuple[Hash, ...], links_left: int) -> Hash:
    """The link to reveal when the chain in state has `links_left` links; hashes < CHECKPOINT_LINKS times."""
    assert links_left > 0
    start, steps = divmod(links_left - 1, CHECKPOINT_LINKS)
    link = checkpoints[start]
    for _ in range(steps):
        link = hash_bytes(Domain.BEACON_LINK, link)
    return link


def get_chain(state: StateReader, who: Address, epoch: Epoch) -> Chain | None:
    """The chain that an account reveals in `epoch`, the current or a later one."""
    following = NEXT_CHAINS.get(state, who)
    if following is not None and following.from_epoch <= epoch:
        return following
    return CHAINS.get(state, who)


def has_links(state: StateReader, who: Address, epoch: Epoch) -> bool:
    """Whether an account can reveal in `epoch`."""
    chain = get_chain(state, who, epoch)
    return chain is not None and chain.links > 0


def get_seed(state: StateReader, epoch: Epoch) -> Hash:
    """The seed of an epoch, kept for `seeds_kept` epochs; for a negative epoch that of epoch 0."""
    seed = SEEDS.get(state, max(epoch, 0))
    assert seed is not None, f"seed of epoch {epoch} is not kept"
    return seed


def get_misses(state: StateReader, epoch: Epoch, who: Address) -> int:
    """Blocks of the epoch that the account proposed without a reveal."""
    return MISSES.get(state, epoch, who) or 0


def list_misses(state: StateReader, epoch: Epoch) -> tuple[tuple[Address, int], ...]:
    """(account, blocks without a reveal) in an epoch, by address."""
    return tuple(MISSES.items(state, epoch))


def get_parameters(state: StateReader) -> Parameters:
    """Lengths of chains, and how long seeds are kept."""
    return PARAMETERS.require(state)
