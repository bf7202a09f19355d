"""The modules of the state machine, one file or folder each; `chain.runtime` lists them in protocol order."""
