"""A network on this machine: N validator-hosts as processes, funded accounts, content hosted and proven.

plan        the folder: chain spec, keys, ports; made once, kept for good
processes   starting, watching and stopping nodes, by process id
library     what is held and listed from genesis on
sample      a few real files, made without randomness
seeding     content published, listed, hosted by several, proven
commands    the verbs
single      one validator in a temporary folder
"""
