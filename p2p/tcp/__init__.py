"""py-libp2p under bounds: TCP, Noise, yamux, multistream-select."""
