"""The folder of a node: its configuration, its keys, and what makes it one validator's."""
