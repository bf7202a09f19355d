"""What nodes tell each other over p2p that belongs to no single protocol of the chain."""
