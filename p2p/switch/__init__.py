"""The network above a transport: connections, streams, frames, limits, scores."""
