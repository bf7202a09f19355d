"""The modules of the state machine, one file each; `chain.runtime` lists them in the order of the
protocol.
"""
