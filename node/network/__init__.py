"""Between p2p and the node: streams to all peers, announcements of heads, the light peer of `vidya get`."""
