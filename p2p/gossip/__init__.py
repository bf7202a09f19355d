"""GossipSub: announcements for observers and for other implementations."""
