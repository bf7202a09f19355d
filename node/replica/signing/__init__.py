"""The consensus key: when it may sign, and how it signs."""
