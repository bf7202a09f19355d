"""A network on this machine: N validator-hosts as processes, funded accounts, content hosted and proven.

plan              the folder: chain spec, keys, ports; made once, kept for good
genesis_content   what is held and listed from genesis on
sample            a few real files, made without randomness
keeping           nodes started, watched and stopped by `devnet up`
seeding           content fetched, proven, published while it runs
faucet            money of the treasury for an account
single            one validator in a temporary folder
"""
