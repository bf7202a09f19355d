"""What survives a restart: the key-value store, chain store, write-ahead log, last-sign state, content. Synchronous."""
