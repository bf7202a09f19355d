"""The state machine: pure functions from (state, block) to (changes, events, root)."""
