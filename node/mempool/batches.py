"""Batches of encoded transactions for one message each."""

from collections.abc import Iterator

from p2p.wire.messages import TRANSACTIONS_MAX


def split_batches(transactions: Iterator[bytes], bytes_max: int) -> Iterator[tuple[bytes, ...]]:
    """Batches of at most `bytes_max` bytes each (a longer transaction is a batch by itself) and of at most as
    many transactions as fit a message.
    """
    batch: list[bytes] = []
    size = 0
    for data in transactions:
        if batch and (size + len(data) > bytes_max or len(batch) == TRANSACTIONS_MAX):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(data)
        size += len(data)
    if batch:
        yield tuple(batch)
