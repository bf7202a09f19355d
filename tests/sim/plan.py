"""The plan of a seed: drawn at once, and printed with a failure.

Swarm testing (Groce and others, ISSTA 2012): each seed has some kinds of faults and not others, since a
world with all of them at once rarely gets far enough to reach what one of them alone would break.
"""

from random import Random
from typing import NamedTuple

from tests.sim.world.accounts import Times, draw_powers

NETWORK_FAULTS = ("cut", "minority", "halves", "ring", "swizzle", "flap", "storm", "censor")
CRASH_FAULTS = ("crash", "crash_at_point", "crash_in_disk", "crash_all")
DISK_FAULTS = (
    "disk_full",
    "sync_fails",
    "slow_disk",
    "flip_log",
    "flip_sign_state",
    "flip_store",
    "old_backup",
)
CLOCK_FAULTS = ("clock_jump",)
FAULTS = NETWORK_FAULTS + CRASH_FAULTS + DISK_FAULTS + CLOCK_FAULTS
STEERED = ("long_censor", "crash_joining")
"""Faults of plans that are there to bring about rare states (`checks.rare`)."""
DAMAGE = frozenset(("flip_log", "flip_sign_state", "old_backup"))
"""Faults after which a validator does not sign again, or not for long."""

HIDDEN_LOCKS_SHARE = 0.15
JOINING_SHARE = 0.08
CHANGING_SETS_SHARE = 0.1
COPIED_KEY_SHARE = 0.07
SYNCING_SHARE = 0.03
JURIES_SHARE = 0.02


class KeyCopy(NamedTuple):
    """A second process with the key of a validator (`copied_key`)."""

    of: int
    """The number of the validator."""
    how: str
    """`key`: the key on an empty disk; `disk`: a copy of the whole disk."""
    copied_ms: int
    started_ms: int
    returns_ms: int | None
    """The original stops when it is copied, and starts again now; None: it goes on all the time."""


class Plan(NamedTuple):
    """One run."""

    powers: list[int]
    topology: str
    times: Times
    loss_ppm: int
    duplicate_ppm: int
    jitter_ms: int
    chaos_ms: int
    """Then everything is healed, and the chain must go on."""
    kinds: tuple[str, ...]
    faults: list[tuple[int, str]]
    """When, and of which kind."""
    skewed: dict[int, tuple[int, int]]
    """Nodes with a wrong clock: offset in ms, drift in ppm."""
    transactions: int
    has_stake_moves: bool
    heights_after: int
    """How many heights must be final everywhere after healing."""
    late: tuple[tuple[int, int], ...] = ()
    """Nodes that start for the first time later, and when."""
    snapshots: bool = False
    """Whether the others make snapshots, and those that start later begin at one."""
    copied_key: KeyCopy | None = None
    has_juries: bool = False
    steps_max: int = 200_000
    """Events after which a run counts as one that never ends."""

    def describe(self) -> str:
        """The plan in a line."""
        kinds = ", ".join(self.kinds) or "no faults"
        network = f"{self.topology}, loss {self.loss_ppm // 10_000} %, jitter {self.jitter_ms} ms"
        return f"powers {self.powers}; {network}; {len(self.faults)} faults of: {kinds}; skewed {self.skewed}"


def draw_plan(random: Random, *, is_villainous: bool = False) -> Plan:
    """The plan of a seed; with villains, no other fault lasts."""
    share = random.random()
    if share < HIDDEN_LOCKS_SHARE:
        return draw_hidden_locks(random)
    share -= HIDDEN_LOCKS_SHARE
    if share < JOINING_SHARE:
        return draw_joining(random, is_villainous=is_villainous)
    share -= JOINING_SHARE
    if not is_villainous and share < CHANGING_SETS_SHARE:
        return draw_changing_sets(random)
    powers = draw_powers(random, random.choice((4, 4, 5, 5, 6, 7)))
    kinds = tuple(kind for kind in FAULTS if random.random() < 0.3)
    if is_villainous:
        kinds = tuple(kind for kind in kinds if kind not in DAMAGE)
    chaos_ms = random.randrange(8_000, 28_000)
    count = random.randrange(2, 16) if kinds else 0
    faults = sorted((random.randrange(500, chaos_ms), random.choice(kinds)) for _ in range(count))
    is_late = random.random() < (0.15 if is_villainous else 0.3)
    return Plan(
        powers=powers,
        topology=random.choice(("lan", "regions", "regions")),
        times=Times(),
        loss_ppm=random.choice((0, 0, 10_000, 50_000, 200_000)),
        duplicate_ppm=random.choice((0, 0, 20_000, 200_000)),
        jitter_ms=random.choice((1, 5, 30, 150, 400)),
        chaos_ms=chaos_ms,
        kinds=kinds,
        faults=faults,
        skewed=_draw_skewed(random, powers),
        transactions=random.randrange(20, 100),
        has_stake_moves=not is_villainous and not DAMAGE.intersection(kinds),
        late=((random.randrange(len(powers)), random.randrange(2_000, chaos_ms)),) if is_late else (),
        snapshots=is_late and random.random() < 0.7,
        heights_after=random.choice((4, 6, 10, 20) if is_villainous else (4, 4, 6)),
    )


def draw_hidden_locks(random: Random) -> Plan:
    """A plan in which locks are hidden from the first block on, and little else is wrong: rounds go high."""
    chaos_ms = random.randrange(15_000, 40_000)
    crashes = random.randrange(3)
    faults = [(random.randrange(500, 3_000), "long_censor")]
    faults += [(random.randrange(3_000, chaos_ms), "crash") for _ in range(crashes)]
    return Plan(
        powers=draw_powers(random, random.choice((4, 4, 4, 5, 7))),
        topology="lan",
        times=Times(propose_ms=1_000, vote_ms=500, delta_ms=200),
        loss_ppm=random.choice((0, 0, 10_000)),
        duplicate_ppm=0,
        jitter_ms=random.choice((1, 30, 150)),
        chaos_ms=chaos_ms,
        kinds=("long_censor",),
        faults=sorted(faults),
        skewed={},
        transactions=10,
        has_stake_moves=False,
        heights_after=3,
    )


def draw_joining(random: Random, *, is_villainous: bool) -> Plan:
    """A plan in which a validator joins by snapshot, and is killed while it does so."""
    join_ms = random.randrange(8_000, 14_000)
    killed = [(join_ms + random.randrange(1_400, 2_600), "crash_joining") for _ in range(2)]
    other = [(random.randrange(1_000, join_ms), random.choice(("crash", "cut", "swizzle"))) for _ in range(2)]
    powers = draw_powers(random, random.choice((6, 7)))
    return Plan(
        powers=powers,
        topology=random.choice(("lan", "regions")),
        times=Times(),
        loss_ppm=random.choice((0, 50_000)),
        duplicate_ppm=0,
        jitter_ms=random.choice((1, 30)),
        chaos_ms=join_ms + 10_000,
        kinds=("crash", "cut", "swizzle", "crash_joining"),
        faults=sorted([*killed, *other]),
        skewed={},
        transactions=50,
        has_stake_moves=not is_villainous,
        heights_after=4,
        late=((powers.index(min(powers)), join_ms),),
        snapshots=True,
    )


def draw_changing_sets(random: Random) -> Plan:
    """A plan with the shortest eras there are, two blocks, and stake that moves all the time."""
    chaos_ms = random.randrange(15_000, 30_000)
    return Plan(
        powers=draw_powers(random, random.choice((5, 6, 7))),
        topology="lan",
        times=Times(block_ms=500, propose_ms=1_000, vote_ms=500, delta_ms=200, epoch_blocks=2),
        loss_ppm=random.choice((0, 10_000)),
        duplicate_ppm=0,
        jitter_ms=random.choice((1, 30)),
        chaos_ms=chaos_ms,
        kinds=("crash", "cut"),
        faults=[(random.randrange(500, chaos_ms), random.choice(("crash", "cut"))) for _ in range(3)],
        skewed={},
        transactions=chaos_ms // 200,
        has_stake_moves=True,
        heights_after=4,
    )


def draw_copied_key(random: Random) -> Plan:
    """A plan in which two processes have one key; long enough for a watch to end."""
    powers = draw_powers(random, random.choice((4, 5, 6)))
    chaos_ms = random.randrange(24_000, 28_000)
    copied_ms = random.randrange(1_500, 6_000)
    started_ms = copied_ms + random.choice((1, 50, random.randrange(5_000), random.randrange(5_000)))
    # Never stopped; started together with the copy; soon after; when the copy may have taken over; at last.
    returns = (
        None,
        started_ms + random.randrange(60),
        started_ms + random.randrange(60),
        started_ms + random.randrange(2_000),
        started_ms + random.randrange(12_000, 18_000),
        chaos_ms,
    )
    copy = KeyCopy(
        of=random.randrange(len(powers)),
        how=random.choice(("key", "disk", "disk")),
        copied_ms=copied_ms,
        started_ms=started_ms,
        returns_ms=random.choice(returns),
    )
    return Plan(
        powers=powers,
        topology=random.choice(("lan", "regions")),
        times=Times(block_ms=500, propose_ms=1_000, vote_ms=500, delta_ms=200),
        loss_ppm=random.choice((0, 0, 10_000)),
        duplicate_ppm=0,
        jitter_ms=random.choice((1, 30)),
        chaos_ms=chaos_ms,
        kinds=("crash", "cut"),
        faults=[(random.randrange(500, chaos_ms), random.choice(("crash", "cut"))) for _ in range(2)],
        skewed={},
        transactions=30,
        has_stake_moves=False,
        heights_after=4,
        copied_key=copy,
    )


def draw_steered(share: float, random: Random) -> Plan | None:
    """The plan of a seed with a copied key, or with juries; None for all others."""
    if share < COPIED_KEY_SHARE:
        return draw_copied_key(random)
    return draw_juries(random) if share >= 1 - JURIES_SHARE else None


def draw_syncing(random: Random) -> Plan:
    """A plan in which an honest validator joins late, and executes every block that others give it."""
    powers = draw_powers(random, random.choice((4, 5)))
    join_ms = random.randrange(6_000, 12_000)
    return Plan(
        powers=powers,
        topology=random.choice(("lan", "regions")),
        times=Times(),
        loss_ppm=random.choice((0, 50_000)),
        duplicate_ppm=0,
        jitter_ms=random.choice((1, 30)),
        chaos_ms=join_ms + 6_000,
        kinds=("cut", "crash"),
        faults=[(random.randrange(1_000, join_ms), random.choice(("cut", "crash"))) for _ in range(2)],
        skewed={},
        transactions=30,
        has_stake_moves=False,
        heights_after=4,
        late=((powers.index(min(powers)), join_ms),),
    )


def draw_juries(random: Random) -> Plan:
    """A plan with the shortest epochs there are, in which users sponsor and challenge, and jurors judge."""
    chaos_ms = random.randrange(20_000, 26_000)
    return draw_changing_sets(random)._replace(
        chaos_ms=chaos_ms, transactions=chaos_ms // 60, has_stake_moves=False, has_juries=True
    )


def _draw_skewed(random: Random, powers: list[int]) -> dict[int, tuple[int, int]]:
    """Wrong clocks in less than a third of the power, in half of the runs."""
    if random.random() < 0.5:
        return {}
    skewed: dict[int, tuple[int, int]] = {}
    for number in random.sample(range(len(powers)), len(powers)):
        if 3 * (sum(powers[one] for one in skewed) + powers[number]) < sum(powers):
            offset_ms = random.choice((-1, 1)) * random.choice((505, 1_000, 60_000, 3_600_000))
            skewed[number] = offset_ms, random.choice((0, -10_000, 10_000))
    return skewed
