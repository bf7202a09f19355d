"""What all tests share: the repository's place, and Hypothesis without clock, chance or memory."""

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure, and a run can be repeated: its examples are derived from each test.
settings.register_profile("vidya", deadline=None, derandomize=True, database=None)
settings.load_profile("vidya")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).parent.parent
