"""What a validator does, without a loop, a clock or a socket: events in, calls of `ports.World` out.

`replica` runs height after height: core, log, signatures, commits. `gossip` holds the messages between
peers, `sync` catches up. Each is a set of methods that return at once; two worlds drive them:
`node.replica.trio_world` over trio, and the simulator of the tests over a seed.
"""
