"""What a command works with: the node it asks, the network's rules, the keys it signs with."""
