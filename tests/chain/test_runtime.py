"""Execution of whole blocks: what makes a transaction or a block invalid, and what a valid one leaves."""

from collections.abc import Callable

import msgspec
import pytest

from chain import runtime
from chain.block import Inherents, compute_extrinsics_root
from chain.errors import ChainError, InvalidBlock, InvalidTransaction
from chain.jsonable import get_fields
from chain.modules import balances, catalogue, fees, offences, schedule, sessions, system, validators
from chain.primitives.codec import Record, encode, replace
from chain.primitives.types import NO_HASH
from chain.runtime import BlockRun, build_call
from chain.transaction import (
    ARGUMENTS_BYTES_MAX,
    CALLS_MAX,
    TRANSACTION_BYTES_MAX,
    Call,
    SignedTransaction,
    Transaction,
    check_signature,
    decode_transaction,
    sign_transaction,
)
from chain.votes import build_duplicate_vote
from tests.chain.support.chain_rig import VIDYA, Rig, build_rig, put_transactions

Change = Callable[[Rig, Transaction], Transaction]


def get_voucher_duty(rig: Rig) -> sessions.Settle:
    """A duty that is well formed, and refused: there is no such session."""
    voucher = sessions.Voucher(rig.live.genesis_hash, b"s" * 32, rig.people[0].address, 1, 1)
    return sessions.Settle(sessions.sign_voucher(rig.people[0].voucher, voucher))


def with_call(call: Call) -> Change:
    return lambda rig, transaction: replace(transaction, calls=(call,))


def with_duty(**fields: int) -> Change:
    def change(rig: Rig, transaction: Transaction) -> Transaction:
        calls = (build_call(get_voucher_duty(rig)),)
        free = replace(transaction, nonce=0, fee_max=0, tip=0, calls=calls)
        return replace(free, **fields)

    return change


def with_fields(**fields: object) -> Change:
    return lambda rig, transaction: replace(transaction, **fields)


def with_two_duties(rig: Rig, transaction: Transaction) -> Transaction:
    calls = (build_call(get_voucher_duty(rig)), build_call(balances.Burn(1)))
    return replace(transaction, calls=calls)


def start_run(rig: Rig) -> BlockRun:
    """The next block, at the place where its transactions run."""
    head, members = rig.live.head, validators.get_current(rig.state).validators
    proposer = members[0].address
    run = runtime.start_block(rig.state, rig.live.genesis_hash, head.height + 1, head.time_ms + 1, proposer)
    runtime.process_block_start(run, Inherents(rig.get_reveal(proposer), rig.certify()))
    return run


BIG = Call(1, 1, bytes(ARGUMENTS_BYTES_MAX))
HEIGHT = 3

INVALID: list[tuple[str, Change]] = [
    ("other_network", with_fields(genesis_hash=b"n" * 32)),
    ("expired", with_fields(valid_until=HEIGHT)),
    ("lifetime_too_long", with_fields(valid_until=HEIGHT + 1 + 600 + 1)),
    ("nonce_too_low", with_fields(nonce=0)),
    ("nonce_too_high", with_fields(nonce=2)),
    ("fee_too_low", with_fields(fee_max=100_000)),
    ("insufficient_balance", with_fields(fee_max=2**62)),
    ("insufficient_balance", with_fields(tip=2**63 - 1, fee_max=2**63 - 1)),
    ("unknown_call", with_call(Call(200, 1, b""))),
    ("unknown_call", with_call(Call(1, 200, b""))),
    ("malformed_arguments", with_call(Call(1, 1, b"\x90"))),
    ("malformed_arguments", with_call(Call(1, 1, encode((b"a" * 32, 1)) + b"\0"))),
    ("duty_not_alone", with_two_duties),
    ("duty_with_fee", with_duty(fee_max=1)),
    ("duty_with_fee", with_duty(tip=1)),
    ("duty_with_fee", with_duty(nonce=1)),
    ("duty_refused", with_duty()),
    ("too_large", lambda rig, transaction: replace(transaction, calls=(BIG, BIG))),
]


@pytest.fixture
def rig() -> Rig:
    """A chain at height 3; person 4 has one transaction on it."""
    rig = build_rig()
    rig.run(rig.sign(rig.people[4], balances.Send(rig.people[5].address, 1)))
    rig.run()
    rig.run()
    return rig


@pytest.mark.parametrize(("code", "change"), INVALID, ids=[code for code, _ in INVALID])
def test_each_invalid_transaction_is_refused_with_its_code(rig: Rig, code: str, change: Change) -> None:
    """It changes nothing; a block that contains it is invalid; a proposer leaves it out."""
    good = rig.sign(rig.people[4], balances.Send(rig.people[5].address, VIDYA)).transaction
    bad = sign_transaction(rig.people[4].account, change(rig, good))
    run = start_run(rig)
    before = dict(run.ctx.state.changes)
    with pytest.raises(InvalidTransaction) as caught:
        runtime.process_transaction(run, bad, check_signature)
    assert caught.value.code == code
    assert run.ctx.state.changes == before
    assert run.receipts == [] and run.bytes_used == run.paying_weight == run.duty_weight == 0
    result, [(refused, error)] = rig.build([bad])
    assert (refused, error.code, result.block.transactions) == (bad, code, ())
    with pytest.raises(InvalidBlock, match=code):
        rig.live.execute(put_transactions(result.block, (bad,)))


def test_no_bit_of_a_signed_transaction_can_be_flipped(rig: Rig) -> None:
    """What comes of it is no transaction, or not in order, or not signed."""
    data = encode(rig.sign(rig.people[4], balances.Send(rig.people[5].address, VIDYA)))
    run = start_run(rig)
    before = dict(run.ctx.state.changes)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ChainError):
            runtime.process_transaction(run, decode_transaction(bytes(flipped)), check_signature)
    assert run.ctx.state.changes == before
    runtime.process_transaction(run, decode_transaction(data), check_signature)


def test_a_signature_is_of_one_key_one_purpose_and_one_transaction(rig: Rig) -> None:
    """Another person's signature, or the same one under another transaction, does not pass."""
    mine = rig.sign(rig.people[4], balances.Send(rig.people[5].address, VIDYA))
    theirs = rig.sign(rig.people[5], balances.Send(rig.people[5].address, VIDYA))
    for forged in (
        replace(mine, signature=theirs.signature),
        replace(mine, signature=bytes(64)),
        SignedTransaction(replace(mine.transaction, tip=1), mine.signature),
        SignedTransaction(replace(mine.transaction, sender=NO_HASH), mine.signature),
    ):
        with pytest.raises(InvalidTransaction, match="bad_signature"):
            check_signature(forged)


def test_sixteen_calls_run_all_or_none(rig: Rig) -> None:
    """The last one that is refused takes the others with it; the fee is for all of them."""
    alice, bob = rig.people[4], rig.people[5]
    many = [balances.Send(bob.address, 1)] * (CALLS_MAX - 1)
    receipts = rig.run(
        rig.sign(alice, *many, balances.Send(bob.address, 2**62)),
        rig.sign(alice, *many, balances.Send(bob.address, 7), nonce=2),
    )
    refused, done = receipts.transactions
    assert refused.error == (balances.MODULE.index, balances.InsufficientBalance.number, CALLS_MAX - 1)
    assert refused.events == ()
    assert done.error is None
    assert len(done.events) == CALLS_MAX
    assert refused.fee == done.fee > 0
    assert balances.get_balance(rig.state, bob.address) == (10_100 * VIDYA + 1) + 15 + 7


def test_fee_is_burned_and_tip_goes_to_the_proposer(rig: Rig) -> None:
    """Weight times base fee leaves the supply, whatever the bound was; the tip stays in it."""
    alice = rig.people[4]
    signed = rig.sign(alice, balances.Send(alice.address, 1), fee_max=VIDYA, tip=77)
    run = start_run(rig)
    state, proposer = run.ctx.state, run.ctx.proposer
    supply = balances.get_total_supply(state)
    mine, theirs = balances.get_balance(state, alice.address), balances.get_balance(state, proposer)
    runtime.process_transaction(run, signed, check_signature)
    [receipt] = run.receipts
    assert receipt.fee == receipt.weight * fees.get_parameters(state).base_fee_min
    assert receipt.tip == 77
    assert balances.get_account(state, alice.address) == balances.Account(2, mine - receipt.fee - 77)
    assert balances.get_balance(state, proposer) == theirs + 77
    assert balances.get_total_supply(state) == supply - receipt.fee


def test_a_proposer_tips_himself(rig: Rig) -> None:
    """Sender and proposer may be one: only the fee is gone."""
    run = start_run(rig)
    person = rig.by_address[run.ctx.proposer]
    before = balances.get_balance(run.ctx.state, person.address)
    signed = rig.sign(person, balances.Send(person.address, 1), tip=VIDYA)
    runtime.process_transaction(run, signed, check_signature)
    assert balances.get_balance(run.ctx.state, person.address) == before - run.receipts[0].fee


def build_report(rig: Rig, number: int) -> offences.Report:
    """Evidence that a validator signed two blocks at the head's height."""
    who = rig.people[number].address
    return offences.Report(build_duplicate_vote(rig.sign_precommit(who), rig.sign_precommit(who, b"x" * 32)))


def test_a_duty_costs_nothing_and_is_done_once(rig: Rig) -> None:
    """Any key may send it; the same duty from any key is invalid later in this block and in the next."""
    poor = rig.people[7]
    duty, again = (rig.sign_duty(rig.people[number], build_report(rig, 0)) for number in (7, 6))
    before = balances.get_account(rig.state, poor.address)
    result, refused = rig.build([duty, again, duty])
    assert [error.detail for _, error in refused] == ["offences.already_punished"] * 2
    assert [receipt.fee for receipt in result.receipts.transactions] == [0]
    rig.commit(result)
    after = balances.get_account(rig.state, poor.address)
    assert after.nonce == before.nonce
    assert after.free > before.free, "the reporter has its share"
    _, [(_, error)] = rig.build([duty])
    assert error.code == "duty_refused"


def test_each_lane_has_its_own_room() -> None:
    """Paying transactions cannot fill the quarter of the weight that is for duties, nor duties the rest."""
    rig = build_rig()
    rig.run()
    alice = rig.people[4]
    first = rig.sign(alice, balances.Burn(1))
    weight = runtime.compute_weight(rig.state, runtime.decode_calls(first.transaction), len(encode(first)))
    maximum = rig.spec.system.parameters.block_weight_max
    room = maximum - system.compute_duty_weight_max(maximum)
    run = start_run(rig)
    run.paying_weight = room - weight
    run.duty_weight = maximum // 4
    runtime.process_transaction(run, first, check_signature)
    assert run.paying_weight == room
    with pytest.raises(InvalidTransaction, match="block_full: weight"):
        runtime.process_transaction(run, rig.sign(alice, balances.Burn(1), nonce=1), check_signature)
    with pytest.raises(InvalidTransaction, match="block_full: weight"):
        runtime.process_transaction(run, rig.sign_duty(alice, build_report(rig, 0)), check_signature)
    run.duty_weight = 0
    runtime.process_transaction(run, rig.sign_duty(alice, build_report(rig, 0)), check_signature)


def test_a_block_is_bounded_in_bytes_and_in_number(rig: Rig) -> None:
    """The byte or the transaction beyond the bound is too much."""
    signed = rig.sign(rig.people[4], balances.Burn(1))
    parameters = rig.spec.system.parameters
    for field, value, bound in (
        ("bytes_used", parameters.block_bytes_max - len(encode(signed)), parameters.block_bytes_max),
        ("receipts", [None] * (parameters.block_transactions_max - 1), None),
    ):
        run = start_run(rig)
        setattr(run, field, value)
        runtime.process_transaction(run, signed, check_signature)
        assert bound is None or run.bytes_used == bound
        with pytest.raises(InvalidTransaction, match="block_full: size"):
            runtime.process_transaction(
                run, rig.sign(rig.people[4], balances.Burn(1), nonce=2), check_signature
            )


# What a block leaves behind.


def test_receipts_can_be_read_and_every_error_has_a_name(rig: Rig) -> None:
    """Events decode to their records; a refusal to its code and a sentence."""
    alice, bob = rig.people[4], rig.people[5]
    receipts = rig.run(
        rig.sign(alice, balances.Send(bob.address, 5)), rig.sign(bob, balances.Send(alice.address, 2**62))
    )
    sent, refused = receipts.transactions
    assert [runtime.decode_event(event) for event in sent.events] == [
        ("balances.Transferred", balances.Transferred(alice.address, bob.address, 5))
    ]
    assert refused.error is not None
    code, sentence = runtime.get_error_code(refused.error)
    assert code == "balances.insufficient_balance"
    assert sentence.startswith("The account's free balance")


def test_the_place_of_the_chain_is_part_of_the_state(rig: Rig) -> None:
    """Height and time of the last block, so that two blocks that differ in time alone differ in root."""
    assert system.get_position(rig.state) == system.Position(3, rig.live.head.time_ms, 1)
    one, two = (rig.build(gap_ms=gap_ms)[0].block.header for gap_ms in (1_000, 1_001))
    assert one.state_root != two.state_root
    assert one.receipts_root == two.receipts_root


def test_ids_of_transactions_are_what_the_header_binds(rig: Rig) -> None:
    """The root can be computed from header, inherents and ids alone."""
    signed = rig.sign(rig.people[4], balances.Burn(1))
    block = rig.build([signed])[0].block
    root = compute_extrinsics_root(block.inherents, (signed.id,))
    assert root == block.header.extrinsics_root


def test_numbers_of_modules_calls_events_and_errors_are_unique() -> None:
    """And each call has arguments of its own, so that a record names its call."""
    assert len({module.index for module in schedule.MODULES}) == len(schedule.MODULES)
    assert len({module.name for module in schedule.MODULES}) == len(schedule.MODULES)
    kinds = [spec.kind for module in schedule.MODULES for spec in module.calls.values()]
    assert len(set(kinds)) == len(kinds)
    events = [kind for module in schedule.MODULES for kind in module.events.values()]
    assert len(set(events)) == len(events)
    codes = [kind.code for module in schedule.MODULES for kind in module.errors.values()]
    assert len(set(codes)) == len(codes)


def test_every_refusal_and_every_call_says_in_one_sentence_what_it_is() -> None:
    """People read these in the CLI."""
    for module in schedule.MODULES:
        for kind in module.errors.values():
            assert (kind.__doc__ or "").split("\n")[0].endswith("."), kind
        for spec in module.calls.values():
            assert (spec.handler.__doc__ or "").split("\n")[0].endswith("."), spec.name


def test_every_call_fits_into_a_lane_of_the_smallest_block() -> None:
    """The heaviest arguments that the codec lets through, in the largest envelope, weigh less."""
    envelope = fees.compute_envelope_weight(build_rig().spec.fees.parameters, TRANSACTION_BYTES_MAX)
    duties = system.compute_duty_weight_max(system.BLOCK_WEIGHT_MIN)
    for module in schedule.MODULES:
        for spec in module.calls.values():
            lane = duties if spec.is_duty else system.BLOCK_WEIGHT_MIN - duties
            weight = spec.weight if isinstance(spec.weight, int) else spec.weight(build_longest(spec.kind))
            assert 0 < weight < lane - envelope, f"{module.name}.{spec.name}"


def build_longest(kind: type[Record]) -> Record:
    """Arguments whose lists are as long as the codec allows; only their lengths mean something."""
    hints = {name: field for name, field, _ in get_fields(kind)}
    values = {}
    for name, hint in hints.items():
        lengths = [
            meta.max_length for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, msgspec.Meta)
        ]
        values[name] = (None,) * next((length for length in lengths if length), 0)
    return kind(**values)


def test_listing_makes_a_datum_that_the_catalogue_finds(rig: Rig) -> None:
    """A call through the whole runtime reaches its module's state."""
    call = catalogue.ListDatum(b"d" * 32, b"r" * 32, 5_000, "title", "text", (), "")
    receipts = rig.run(rig.sign(rig.people[4], call))
    assert receipts.transactions[0].error is None
    datum = catalogue.get_datum(rig.state, catalogue.compute_datum_id(call))
    assert datum is not None
    assert datum.lister == rig.people[4].address
