"""The node: the only layer that knows all others, and the key files that its operator keeps beside it."""
