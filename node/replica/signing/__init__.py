"""The consensus key: when it may sign, and what it has signed."""
