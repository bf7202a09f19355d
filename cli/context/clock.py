"""What heights, epochs and eras mean in time: counted from the head, at the block interval of the chain spec.

The future is an estimate: blocks may take longer than the interval.
"""

from typing import TYPE_CHECKING, NamedTuple

from cli.terminal.amounts import format_duration

if TYPE_CHECKING:
    from chain.modules.system import Parameters
    from chain.primitives.types import Epoch, Era, Height


class ChainClock(NamedTuple):
    """The head, and the periods of the network."""

    height: int
    parameters: "Parameters"

    def describe_height(self, height: "Height") -> str:
        """`in 2 min`, `3 s ago`, `now`."""
        blocks = height - self.height
        if blocks == 0:
            return "now"
        time = format_duration(abs(blocks) * self.parameters.block_ms)
        return f"in {time}" if blocks > 0 else f"{time} ago"

    def is_begun(self, epoch: "Epoch") -> bool:
        """Whether the epoch lasts or is over."""
        return self.height > epoch * self.parameters.epoch_blocks

    def describe_epoch(self, epoch: "Epoch") -> str:
        """When the epoch begins, or began; `now` while it lasts."""
        first = epoch * self.parameters.epoch_blocks + 1
        is_current = first <= self.height < first + self.parameters.epoch_blocks
        return "now" if is_current else self.describe_height(first)

    def describe_eras(self, count: int) -> str:
        """How long so many eras take: `2 min`."""
        blocks = count * self.parameters.epoch_blocks * self.parameters.era_epochs
        return format_duration(blocks * self.parameters.block_ms)

    def describe_era(self, era: "Era") -> str:
        """When the era begins, or began; `now` while it lasts."""
        blocks = self.parameters.epoch_blocks * self.parameters.era_epochs
        first = era * blocks + 1
        return "now" if first <= self.height < first + blocks else self.describe_height(first)
