"""The general deviations from the specification are real, and no more than what is listed."""

import pytest

from tests.consensus import rig
from tests.consensus.quint.deviations import GENERAL_DEVIATIONS, GeneralDeviation


@pytest.mark.parametrize("deviation", GENERAL_DEVIATIONS, ids=lambda one: one.what)
def test_the_core_departs_as_listed(deviation: GeneralDeviation) -> None:
    """The last input leads to the listed outputs, which are not the model's."""
    core = rig.core(deviation.me)
    core.start()
    rig.feed(core, deviation.inputs[:-1])
    outputs = tuple(rig.short(output) for output in rig.feed(core, deviation.inputs[-1:]))
    assert outputs == deviation.ours != deviation.model
