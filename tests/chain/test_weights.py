"""Weights: declared for every call, includable in every profile, and documented as they are."""

from itertools import pairwise

import pytest

from bench.weights.clock import VERIFICATION
from bench.weights.table import (
    CALLS,
    PER_ITEM,
    compute_weight_max,
    describe_weight,
    list_calls,
    read_table,
)
from chain.modules import fees, system
from chain.modules.schedule import MODULES
from chain.transaction import TRANSACTION_BYTES_MAX
from node.home.profiles import load_profile

PROFILES = ("devnet", "minimal", "public")


def build_smallest(spec):
    """A call of this kind with no items."""
    return PER_ITEM[spec.kind][2](0) if spec.kind in PER_ITEM else None


@pytest.mark.parametrize("name", PROFILES)
def test_an_envelope_weighs_more_than_the_verification_in_it(name):
    """Every transaction, whatever it calls, weighs at least its signature, and each call adds to that."""
    parameters = load_profile(name).fees.parameters
    envelope = fees.compute_envelope_weight(parameters, 0)
    assert envelope > VERIFICATION
    for _, spec in list_calls():
        assert spec.compute_weight(build_smallest(spec)) > 0


def test_weights_per_item_are_monotone():
    """Each item more makes a call heavier, by the same amount."""
    computed = [spec.kind for _, spec in list_calls() if callable(spec.weight)]
    assert set(computed) == set(PER_ITEM)
    for _, spec in list_calls():
        if callable(spec.weight):
            _, count_max, build = PER_ITEM[spec.kind]
            weights = [spec.compute_weight(build(count)) for count in range(count_max + 1)]
            steps = {after - before for before, after in pairwise(weights)}
            assert len(steps) == 1
            assert steps.pop() > 0


@pytest.mark.parametrize("name", PROFILES)
def test_every_call_fits_into_a_block(name):
    """The heaviest duty fits the duties' quarter, the heaviest call the rest, in the longest transaction."""
    profile = load_profile(name)
    envelope = fees.compute_envelope_weight(profile.fees.parameters, TRANSACTION_BYTES_MAX)
    block_max = profile.system.parameters.block_weight_max
    duties_max = system.compute_duty_weight_max(block_max)
    for call, spec in list_calls():
        room = duties_max if spec.is_duty else block_max - duties_max
        assert envelope + compute_weight_max(spec) <= room, call


def test_the_document_says_what_the_code_declares():
    """Every call is in the table of docs/spec/weights.md, with its weight; none was measured above it."""
    specs = dict(list_calls())
    rows = read_table(CALLS)
    named = {}
    for call, declared, _, _, declared_here, measured in rows:
        named[call.removesuffix(" (duty)").strip("`")] = declared
        assert float(measured) <= int(declared_here), call
    assert named == {call: describe_weight(spec) for call, spec in specs.items()}
    assert len(specs) == sum(len(module.calls) for module in MODULES)
