"""Block sync: how a node that is behind reaches the head."""
