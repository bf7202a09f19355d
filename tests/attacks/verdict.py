"""What is measured of a node under attack, and what counts as withstood.

A node withstands an attack if its process lives, its memory stays within MEMORY_MIB_MAX of before, honest
strangers are served within HONEST_SECONDS_MAX, blocks take at most BLOCK_RATIO_MAX of what they took just
before, and the attacker was cut and banned with a reason (where an attack breaks a rule at all).
"""

from dataclasses import dataclass, field

MEMORY_MIB_MAX = 50.0
HONEST_SECONDS_MAX = 3.0
HONEST_SHARE_MIN = 0.9
BLOCK_RATIO_MAX = 2.0
HEADER = "attack             memory  blocks before/during  honest served  slowest  cut after  bans  verdict"


@dataclass
class Verdict:
    """One row of the table."""

    name: str
    breaks_rules: bool
    is_alive: bool = True
    memory_mib: float = 0.0
    """Highest growth during the attack."""
    seconds_before: float = 0.0
    """Per block, without the attack, right before it."""
    seconds_during: float = 0.0
    honest: list[float] = field(default_factory=list)
    """Seconds of each visit of an honest stranger; infinite if it was not served."""
    cut_seconds: float | None = None
    bans: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    """What the attacker says of its success."""

    @property
    def served(self) -> int:
        """How many honest strangers were served in time."""
        return sum(seconds <= HONEST_SECONDS_MAX for seconds in self.honest)

    def list_failures(self) -> list[str]:
        """What the node did not withstand."""
        is_cut_and_banned = self.cut_seconds is not None and bool(self.bans)
        checks = {
            "process ended": self.is_alive,
            f"memory +{self.memory_mib:.0f} MiB": self.memory_mib <= MEMORY_MIB_MAX,
            f"blocks {self.seconds_before:.1f} -> {self.seconds_during:.1f} s": (
                self.seconds_during <= BLOCK_RATIO_MAX * self.seconds_before
            ),
            f"honest {self.served} of {len(self.honest)}": (
                bool(self.honest) and self.served >= HONEST_SHARE_MIN * len(self.honest)
            ),
            "not cut and banned": is_cut_and_banned or not self.breaks_rules,
        }
        return [what for what, is_good in checks.items() if not is_good]

    def format(self) -> str:
        """The row, and the attacker's own figures."""
        slowest = max(self.honest, default=float("inf"))
        cut = "-" if self.cut_seconds is None else f"{self.cut_seconds:.1f} s"
        failures = self.list_failures()
        blocks = f"{self.seconds_before:8.2f} / {self.seconds_during:6.2f} s"
        honest = f"{self.served:6} of {len(self.honest):3}  {slowest:5.1f} s"
        outcome = "withstood" if not failures else "FAILED: " + "; ".join(failures)
        row = f"{self.name:17} {self.memory_mib:+5.0f} M  {blocks}  {honest}  {cut:>9}  {len(self.bans):4}  "
        notes = [f"    {what}: {text}" for what, text in self.figures.items()]
        return "\n".join([row + outcome, *(f"    banned: {reason}" for reason in self.bans[:1]), *notes])
