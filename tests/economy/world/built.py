"""Rules of the second edition that live in nodes or are not built yet; a row of the table names each that is
missing. Set one to True with the change that builds it.
"""

IS_SAMPLED_CHUNK_UNSOLD = True
"""Hosts do not sell chunks with the sampled leaves of other hosts until the deadline."""
IS_PAID_AHEAD = False
"""The buyer pays ahead, and hosts remember what a payer owes."""
UNSOLD = "no sale of sampled chunks"
PREPAYMENT = "the buyer pays ahead"
