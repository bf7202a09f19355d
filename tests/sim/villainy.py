"""The names of all mischief; a run draws from them."""

from collections.abc import Callable

from tests.sim.mischief import Mischief, Rogue
from tests.sim.mischief_proposers import (
    BadTransaction,
    EquivocatingProposer,
    EvidenceForger,
    ForgedLastCommit,
    ForgedPolRound,
    OldPolka,
    OutOfTurn,
    Oversized,
    WrongParent,
    WrongStateRoot,
    WrongTime,
)
from tests.sim.mischief_talkers import (
    Amnesiac,
    CertificateForger,
    Echo,
    Flooder,
    Impersonator,
    Procrastinator,
    Silent,
    SplitVoter,
    Stale,
    SyncLiar,
)

SILENT = "silent"
"""Alone: it would keep other mischief from being heard of."""
CONTROL = "echo"
"""Of no use to less than a third; with more it forks the chain (`Echo`)."""

MISCHIEF: dict[str, Callable[[Rogue], Mischief]] = {
    "equivocating proposer": EquivocatingProposer,
    "split voter": SplitVoter,
    "amnesiac": Amnesiac,
    "procrastinator": Procrastinator,
    "old polka": OldPolka,
    SILENT: Silent,
    "stale": Stale,
    "flooder": Flooder,
    "wrong time": WrongTime,
    "wrong state root": WrongStateRoot,
    "wrong parent": WrongParent,
    "bad transaction": BadTransaction,
    "oversized": Oversized,
    "forged last commit": ForgedLastCommit,
    "forged pol round": ForgedPolRound,
    "certificate forger": CertificateForger,
    "impersonator": Impersonator,
    "sync liar": SyncLiar,
    "evidence forger": EvidenceForger,
    "out of turn": OutOfTurn,
    CONTROL: Echo,
}
