"""A validator without a loop, a clock or a socket: it gets events and calls `ports.World`.

`replica` runs height after height: core, log, signatures, commits. `gossip` exchanges messages with peers,
`sync` fetches missing blocks. Every method returns at once. Two worlds drive them: `trio_world` in a running
node, and the simulator of the tests.
"""
