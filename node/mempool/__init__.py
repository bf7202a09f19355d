"""Transactions that wait for a block: checked, kept within bounds, and passed on to peers."""
