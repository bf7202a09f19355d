"""What survives a restart: stores, write-ahead log, last-sign state, content. Synchronous, no network."""
