"""The behaviours by name; the villains of a run draw from them."""

from tests.sim.adversary.accusing import EvidenceForger
from tests.sim.adversary.behaviour import Behaviour
from tests.sim.adversary.lying import LightLiar, SnapshotLiar
from tests.sim.adversary.proposing import (
    BadTransaction,
    EquivocatingProposer,
    ForgedLastCommit,
    ForgedPolRound,
    OldPolka,
    OutOfTurn,
    Oversized,
    WrongParent,
    WrongStateRoot,
    WrongTime,
)
from tests.sim.adversary.resigning import ResigningProposer, ResigningVoter
from tests.sim.adversary.voting import (
    Amnesiac,
    CertificateForger,
    Echo,
    Flooder,
    Impersonator,
    LateSender,
    Replayer,
    Silent,
    SplitVoter,
    SyncLiar,
)

SILENT = "silent"
"""Alone: it would keep other behaviour from being heard of."""
CONTROL = "echo"
"""Of no use to less than a third; with more it forks the chain (`Echo`)."""

BEHAVIOURS: dict[str, type[Behaviour]] = {
    "equivocating proposer": EquivocatingProposer,
    "split voter": SplitVoter,
    "amnesiac": Amnesiac,
    "late sender": LateSender,
    "old polka": OldPolka,
    SILENT: Silent,
    "replayer": Replayer,
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
    "snapshot liar": SnapshotLiar,
    "light liar": LightLiar,
    "resigning voter": ResigningVoter,
    "resigning proposer": ResigningProposer,
    CONTROL: Echo,
}

RESIGNERS = ("resigning voter", "resigning proposer")
DRAWN = tuple(name for name in BEHAVIOURS if name not in (CONTROL, *RESIGNERS))
"""What the villains of a seed draw from."""
LOCK_BREAKERS = ("old polka", "amnesiac", "forged pol round", "split voter", "late sender")
"""What villains draw from where the network hides locks."""
STORE_LIARS = ("snapshot liar", "light liar", "sync liar")
"""What villains draw from where somebody joins by snapshot."""
SYNC_LIARS = ("sync liar", "certificate forger")
"""What villains draw from where somebody joins late and executes every block."""
DRAWN_NAMES = tuple(BEHAVIOURS[name].__name__ for name in (*DRAWN, *RESIGNERS))
"""The names they are counted by."""
