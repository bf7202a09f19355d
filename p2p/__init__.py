"""The network: the only importer of libp2p. Above it peers are bytes and messages are frames."""
