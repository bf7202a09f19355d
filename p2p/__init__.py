"""The network: the only importer of libp2p. For the packages above, peers are ids and messages are frames."""
