"""Block sync: a node that is behind fetches final blocks until it is at the head."""
