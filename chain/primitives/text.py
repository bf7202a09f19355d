"""Text that people read and that others wrote: which characters it may have."""

import re

# Written out, because Unicode tables differ between Python versions and this is part of the state transition.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
"""Control characters, line separators, invisible characters, and those that change the reading direction."""


def is_clean_text(text: str, allowed: str = "") -> bool:
    """Whether a text has no unprintable character except those in `allowed`."""
    return all(character in allowed for character in _UNPRINTABLE.findall(text))
