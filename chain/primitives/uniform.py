"""Uniform choice out of hash words: without bias, since a word that would favour some value is discarded."""


def reduce_word(word: bytes, count: int) -> int | None:
    """A value below `count`, uniform for a uniform big-endian word; None if the word must be discarded.

    That is so at or above the largest multiple of `count` (the simple discard method of NIST SP 800-90A).
    """
    number, size = int.from_bytes(word, "big"), 1 << 8 * len(word)
    return number % count if number < size - size % count else None
