"""The ledger: final blocks and the state after them, executed one at a time in a thread of their own."""
