"""The state transition: the effects of a block on the state, in an order that is protocol.

`execute_block` checks and runs a given block; `build_block` runs candidate transactions and makes a block.
Both go through the same stages:

    block start   hooks, then inherents (a wrong one makes the block invalid), then epoch start hooks
    transactions  each: envelope checks, fee, then its calls on a separate layer, all or none
    block end     epoch end hooks, era end hooks, block end hooks

Nothing is stored: the result carries the change set, the receipts and the tree update, which the caller
commits.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from chain.block import (
    Block,
    BlockReceipts,
    EventRecord,
    Header,
    Inherents,
    Receipt,
    compute_extrinsics_root,
    compute_header_hash,
    compute_receipts_root,
    is_whole,
)
from chain.commitment import TreeUpdate
from chain.errors import DecodeError, DispatchError, ForgedBody, InvalidBlock, InvalidTransaction
from chain.module import CallSpec, Context, Module
from chain.modules import balances, beacon, fees, system, validators
from chain.modules.schedule import (
    MODULES,
    ON_BLOCK_END,
    ON_BLOCK_START,
    ON_EPOCH_END,
    ON_EPOCH_START,
    ON_ERA_END,
    Hook,
)
from chain.primitives.codec import Record, decode, encode, replace
from chain.primitives.keys import is_signed_by
from chain.primitives.types import NO_HASH, Address, Hash, TimeMs, Weight
from chain.state import Changes, Overlay, StateReader
from chain.transaction import TRANSACTION_BYTES_MAX, Call, SignedTransaction, Transaction, check_signature
from chain.validator_set import compute_hash, compute_priorities_hash
from chain.votes import Verify

_MODULE_OF = {module.index: module for module in MODULES}
_EVENT_NUMBER = {kind: (module.index, index) for module in MODULES for index, kind in module.events.items()}

FULL_IN_A_ROW_MAX = 128
"""Candidates in a row that do not fit, after which a proposer tries no more."""

CheckSignature = Callable[[SignedTransaction], None]


class StateView(StateReader, Protocol):
    """The state after the parent block, and the tree update that changes would need."""

    def compute_update(self, version: int, changes: Changes) -> TreeUpdate:
        """The tree of block `version` with these changes."""
        ...


class BlockResult(NamedTuple):
    """The effects of a block; the caller commits them."""

    block: Block
    block_hash: Hash
    changes: Changes
    update: TreeUpdate
    receipts: BlockReceipts


class DecodedCall(NamedTuple):
    """A call with its module, declaration and decoded arguments."""

    module: Module
    spec: CallSpec
    arguments: Record


class BlockRun:
    """The state of a block's execution."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.parameters = system.get_parameters(ctx.state)
        self.receipts: list[Receipt] = []
        self.start_events: tuple[EventRecord, ...] = ()
        self.paying_weight: Weight = 0
        self.duty_weight: Weight = 0
        self.bytes_used = 0

    def take_events(self) -> tuple[EventRecord, ...]:
        """The events since the last `take_events`, numbered and encoded."""
        taken = tuple(encode_event(event) for event in self.ctx.events)
        self.ctx.events.clear()
        return taken


def execute_block(
    view: StateView,
    genesis_hash: Hash,
    parent: Header,
    block: Block,
    *,
    check: CheckSignature = check_signature,
    verify: Verify = is_signed_by,
) -> BlockResult:
    """The effects of `block` on the state after `parent`; raises InvalidBlock.

    With `check` and `verify` a node can skip signatures that it has verified before.
    """
    header = block.header
    if not is_whole(block):
        raise ForgedBody("extrinsics root differs")
    check_header(view, parent, header)
    check_last_commit(header, block.inherents)
    run = start_block(view, genesis_hash, header.height, header.time_ms, header.proposer, verify)
    process_block_start(run, block.inherents)
    for signed in block.transactions:
        try:
            process_transaction(run, signed, check)
        except InvalidTransaction as error:
            raise InvalidBlock(f"transaction: {error}") from error
    return _compare(finish_block(run, view, block), header)


def build_block(
    view: StateView,
    genesis_hash: Hash,
    parent: Header,
    *,
    proposer: Address,
    time_ms: TimeMs,
    inherents: Inherents,
    candidates: Iterable[SignedTransaction],
    check: CheckSignature = check_signature,
    verify: Verify = is_signed_by,
) -> tuple[BlockResult, list[tuple[SignedTransaction, InvalidTransaction]]]:
    """A valid block from `candidates` in their order, and the refused candidates with the reasons."""
    header = _open_header(view, parent, time_ms, proposer)
    check_last_commit(header, inherents)
    run = start_block(view, genesis_hash, header.height, time_ms, proposer, verify)
    process_block_start(run, inherents)
    taken: list[SignedTransaction] = []
    refused: list[tuple[SignedTransaction, InvalidTransaction]] = []
    full_in_a_row = 0
    for signed in candidates:
        try:
            process_transaction(run, signed, check)
            taken.append(signed)
            full_in_a_row = 0
        except InvalidTransaction as error:
            refused.append((signed, error))
            full_in_a_row = full_in_a_row + 1 if error.code == "block_full" else 0
        if full_in_a_row == FULL_IN_A_ROW_MAX:
            break
    ids = [signed.id for signed in taken]
    header = replace(header, extrinsics_root=compute_extrinsics_root(inherents, ids))
    result = finish_block(run, view, Block(header, inherents, tuple(taken)))
    return result, refused


def check_header(view: StateReader, parent: Header, header: Header) -> None:
    """Raises InvalidBlock unless the header may follow `parent`; the roots are compared after execution."""
    if header.spec_version != system.SPEC_VERSION:
        raise InvalidBlock(
            f"rules of version {header.spec_version}; this program knows {system.SPEC_VERSION}"
        )
    if header.height != parent.height + 1 or header.parent_hash != compute_header_hash(parent):
        raise InvalidBlock("does not follow its parent")
    if header.time_ms <= parent.time_ms:
        raise InvalidBlock("not later than its parent")
    current, following = validators.get_current(view), validators.get_next(view)
    rosters = header.validators_hash, header.next_validators_hash
    if rosters != (compute_hash(current), compute_hash(following)):
        raise InvalidBlock("another validator set")
    if header.priorities_hash != compute_priorities_hash(current):
        raise InvalidBlock("other proposer priorities")
    if all(validator.address != header.proposer for validator in current.validators):
        raise InvalidBlock("proposer is not a validator")


def check_last_commit(header: Header, inherents: Inherents) -> None:
    """Raises InvalidBlock unless the commit names the parent; `validators` checks its signatures."""
    commit = inherents.last_commit
    if commit is not None and commit.block_hash != header.parent_hash:
        raise InvalidBlock("the last commit is of another block")


def _open_header(view: StateReader, parent: Header, time_ms: TimeMs, proposer: Address) -> Header:
    """A header whose roots are still to be computed."""
    current = validators.get_current(view)
    return Header(
        spec_version=system.SPEC_VERSION,
        height=parent.height + 1,
        time_ms=time_ms,
        parent_hash=compute_header_hash(parent),
        proposer=proposer,
        extrinsics_root=NO_HASH,
        receipts_root=NO_HASH,
        state_root=NO_HASH,
        validators_hash=compute_hash(current),
        next_validators_hash=compute_hash(validators.get_next(view)),
        priorities_hash=compute_priorities_hash(current),
    )


def start_block(
    view: StateReader,
    genesis_hash: Hash,
    height: int,
    time_ms: TimeMs,
    proposer: Address,
    verify: Verify = is_signed_by,
) -> BlockRun:
    """A run at `height`, before any stage."""
    parameters = system.get_parameters(view)
    ctx = Context(
        Overlay(view),
        genesis_hash=genesis_hash,
        height=height,
        time_ms=time_ms,
        epoch=system.compute_epoch(parameters, height),
        era=system.compute_era(parameters, height),
        proposer=proposer,
        verify=verify,
    )
    return BlockRun(ctx)


def process_block_start(run: BlockRun, inherents: Inherents) -> None:
    """Process the inherents and the hooks before the transactions; raises InvalidBlock."""
    ctx = run.ctx
    validators.process_last_commit(ctx, inherents.last_commit)
    beacon.process_reveal(ctx, inherents.beacon_reveal)
    _run_hooks(ON_BLOCK_START, ctx)
    if ctx.height == system.compute_first_height(run.parameters, ctx.epoch):
        _run_hooks(ON_EPOCH_START, ctx)
    run.start_events = run.take_events()


def process_transaction(run: BlockRun, signed: SignedTransaction, check: CheckSignature) -> None:
    """Run one transaction; raises InvalidTransaction and changes nothing if it cannot be in this block."""
    transaction = signed.transaction
    size = signed.size_bytes
    if size > TRANSACTION_BYTES_MAX:
        raise InvalidTransaction("too_large", f"{size} bytes")
    calls = decode_calls(transaction)
    is_duty = check_kind(transaction, calls)
    check_place(run.ctx, run.parameters, transaction)
    weight = compute_weight(run.ctx.state, calls, size)
    _check_room(run, weight, size, is_duty)
    check(signed)
    receipt = (
        _process_duty(run.ctx, transaction, calls, weight)
        if is_duty
        else _process_paying(run.ctx, transaction, calls, weight)
    )
    run.receipts.append(receipt)
    run.bytes_used += size
    if is_duty:
        run.duty_weight += weight
    else:
        run.paying_weight += weight


def decode_calls(transaction: Transaction) -> tuple[DecodedCall, ...]:
    """The decoded calls; raises InvalidTransaction for an unknown call or malformed arguments."""
    return tuple(decode_call(call) for call in transaction.calls)


def decode_call(call: Call) -> DecodedCall:
    """One decoded call; raises InvalidTransaction."""
    module = _MODULE_OF.get(call.module)
    spec = module.calls.get(call.index) if module else None
    if module is None or spec is None:
        raise InvalidTransaction("unknown_call", f"module {call.module}, call {call.index}")
    try:
        return DecodedCall(module, spec, decode(spec.kind, call.arguments))
    except DecodeError as error:
        raise InvalidTransaction("malformed_arguments", f"{module.name}.{spec.name}: {error}") from error


def check_kind(transaction: Transaction, calls: tuple[DecodedCall, ...]) -> bool:
    """Whether it is a duty; raises InvalidTransaction for a duty with other calls, a nonce, fee or tip."""
    if not any(call.spec.is_duty for call in calls):
        return False
    if len(calls) != 1:
        raise InvalidTransaction("duty_not_alone", "a duty is the only call of its transaction")
    if transaction.fee_max or transaction.tip or transaction.nonce:
        raise InvalidTransaction("duty_with_fee", "nonce, fee and tip of a duty are zero")
    return True


def check_place(ctx: Context, parameters: system.Parameters, transaction: Transaction) -> None:
    """Raises InvalidTransaction if it is for another network, expired, or valid for too long."""
    if transaction.genesis_hash != ctx.genesis_hash:
        raise InvalidTransaction("other_network")
    if transaction.valid_until < ctx.height:
        raise InvalidTransaction("expired", f"valid until height {transaction.valid_until}")
    if transaction.valid_until > ctx.height + parameters.transaction_lifetime_blocks_max:
        raise InvalidTransaction("lifetime_too_long")


def compute_weight(state: StateReader, calls: tuple[DecodedCall, ...], size_bytes: int) -> Weight:
    """The weight of a transaction: envelope and calls."""
    envelope = fees.compute_envelope_weight(fees.get_parameters(state), size_bytes)
    return envelope + sum(call.spec.compute_weight(call.arguments) for call in calls)


def _check_room(run: BlockRun, weight: Weight, size: int, is_duty: bool) -> None:
    parameters = run.parameters
    duty_max = system.compute_duty_weight_max(parameters.block_weight_max)
    used, bound = (
        (run.duty_weight, duty_max)
        if is_duty
        else (run.paying_weight, parameters.block_weight_max - duty_max)
    )
    if used + weight > bound:
        raise InvalidTransaction("block_full", "weight")
    if (
        run.bytes_used + size > parameters.block_bytes_max
        or len(run.receipts) >= parameters.block_transactions_max
    ):
        raise InvalidTransaction("block_full", "size")


def _process_duty(
    ctx: Context, transaction: Transaction, calls: tuple[DecodedCall, ...], weight: Weight
) -> Receipt:
    error, events = dispatch(ctx, transaction.sender, calls)
    if error is not None:
        refusal = _MODULE_OF[error[0]].errors[error[1]]
        raise InvalidTransaction("duty_refused", refusal.code)
    return Receipt(None, 0, 0, weight, events)


def _process_paying(
    ctx: Context, transaction: Transaction, calls: tuple[DecodedCall, ...], weight: Weight
) -> Receipt:
    check_nonce(ctx.state, transaction)
    fee = fees.charge(ctx, transaction, weight)
    balances.use_nonce(ctx.state, transaction.sender)
    error, events = dispatch(ctx, transaction.sender, calls)
    return Receipt(error, fee, transaction.tip, weight, events)


def check_nonce(state: StateReader, transaction: Transaction) -> None:
    """Raises InvalidTransaction unless the nonce is the account's next."""
    expected = balances.get_account(state, transaction.sender).nonce
    if transaction.nonce < expected:
        raise InvalidTransaction("nonce_too_low", f"next is {expected}")
    if transaction.nonce > expected:
        raise InvalidTransaction("nonce_too_high", f"next is {expected}")


def dispatch(
    ctx: Context, sender: Address, calls: tuple[DecodedCall, ...]
) -> tuple[tuple[int, int, int] | None, tuple[EventRecord, ...]]:
    """Run calls on a separate layer, all or none. Returns (module, number, call) of a refusal, and events."""
    inner = ctx.fork()
    for position, call in enumerate(calls):
        try:
            call.spec.handler(inner, sender, call.arguments)
        except DispatchError as refusal:
            return (refusal.module, refusal.number, position), ()
    ctx.state.apply(inner.state.changes)
    return None, tuple(encode_event(event) for event in inner.events)


def finish_block(run: BlockRun, view: StateView, block: Block) -> BlockResult:
    """Run the end hooks, compute the roots, and put them into the block's header."""
    ctx = run.ctx
    if system.is_epoch_end(run.parameters, ctx.height):
        _run_hooks(ON_EPOCH_END, ctx)
    if system.is_era_end(run.parameters, ctx.height):
        _run_hooks(ON_ERA_END, ctx)
    _run_hooks(ON_BLOCK_END, ctx)
    receipts = BlockReceipts(run.start_events, tuple(run.receipts), run.take_events())
    update = view.compute_update(ctx.height, ctx.state.changes)
    header = replace(block.header, receipts_root=compute_receipts_root(receipts), state_root=update.root)
    sealed = replace(block, header=header)
    return BlockResult(sealed, compute_header_hash(header), ctx.state.changes, update, receipts)


def _run_hooks(hooks: tuple[Hook, ...], ctx: Context) -> None:
    for hook in hooks:
        hook(ctx)


def _compare(result: BlockResult, header: Header) -> BlockResult:
    found = result.block.header
    if found.receipts_root != header.receipts_root:
        raise InvalidBlock("receipts root differs")
    if found.state_root != header.state_root:
        raise InvalidBlock("state root differs")
    return result


def encode_event(event: Record) -> EventRecord:
    """An event in encoded form, with its module and number."""
    module, index = _EVENT_NUMBER[type(event)]
    return EventRecord(module, index, encode(event))


def decode_event(record: EventRecord) -> tuple[str, Record]:
    """(`module.Name`, event) of an encoded event."""
    module = _MODULE_OF[record.module]
    kind = module.events[record.index]
    return f"{module.name}.{kind.__name__}", decode(kind, record.fields)


def get_error_code(error: tuple[int, int, int]) -> tuple[str, str]:
    """(code `module.name_of_the_error`, one sentence) of a receipt's error."""
    kind = _MODULE_OF[error[0]].errors[error[1]]
    return kind.code, (kind.__doc__ or "").split("\n")[0]


def build_call(arguments: Record) -> Call:
    """The call with these arguments; raises KeyError if their type belongs to no call."""
    for module in MODULES:
        for spec in module.calls.values():
            if spec.kind is type(arguments):
                return Call(module.index, spec.index, encode(arguments))
    raise KeyError(type(arguments).__name__)
