"""The books of a network, kept a second time: what every event must have moved, by the rules alone.

The rules are written out here in plain integers, from the parameters that the network states; nothing of the
state machine is used. An event that is not expected in the blocks of a test fails it.
"""

from collections import Counter
from typing import Any

from tests.e2e.harness import Json, Node

PPM = 10**6
GIB = 2**30
YEAR_MS = 365 * 24 * 3600 * 1000
SILENT = frozenset((
    "possession.Judged", "possession.Proven", "beacon.SeedSealed", "sessions.SessionClosing",
    "sessions.AllotmentReleased", "validators.Elected",
))  # fmt: skip
"""Events that move nothing."""
RULES = {
    "sessions.SessionOpened": "session_opened",
    "sessions.SessionEnded": "session_ended",
    "sessions.Settled": "settled",
    "rewards.UploadRewarded": "upload_rewarded",
    "rewards.HostingRewarded": "hosting_rewarded",
    "rewards.ValidatorRewarded": "validator_rewarded",
    "rewards.EpochRewarded": "epoch_rewarded",
    "escrow.Paid": "paid",
    "escrow.Released": "released",
}
"""Event -> the method that enters it."""


class Snapshot:
    """Who had what at one height."""

    def __init__(self, node: Node, accounts: list[str]) -> None:
        while True:
            found = {account: node.get(f"accounts/{account}") for account in accounts}
            supply, height = node.get("supply"), node.height
            if {one["height"] for one in found.values()} == {height}:
                break
        self.height = height
        self.free = {account: one["balance"] for account, one in found.items()}
        self.withheld = {account: one["withheld"] for account, one in found.items()}
        self.minted, self.burned, self.total = supply["minted"], supply["burned"], supply["total"]
        self.lockers = supply["pots"].get("lockers-fund", 0)
        self.sessions = supply["pots"].get("sessions", 0)


class Books:
    """What happened between two heights, as it should have."""

    def __init__(self, parameters: Json) -> None:
        self.parameters = parameters
        self.free: Counter[str] = Counter()
        self.withheld: Counter[str] = Counter()
        self.minted = self.burned = self.lockers = self.sessions = 0
        self.served: Counter[str] = Counter()
        """Bytes settled per host."""
        self.income: Counter[str] = Counter()
        self.epoch_burned: Counter[tuple[int, str]] = Counter()
        self.matched: dict[tuple[int, str], int] = {}
        self.hosted = 0
        """Hosting rewards checked."""
        self._epoch_paid: Counter[str] = Counter()

    def read(self, node: Node, first: int, last: int) -> None:
        """Every block of the range."""
        for height in range(first, last + 1):
            block = node.get_block(height)
            epoch = (height - 1) // self.parameters["system"]["epoch_blocks"]
            for event in block["events_start"]:
                self._enter(event, epoch)
            for transaction in block["transactions"]:
                self._enter_fee(transaction, block["header"]["proposer"])
                for event in transaction["receipt"]["events"]:
                    self._enter(event, epoch)
            for event in block["events_end"]:
                self._enter(event, epoch)

    def _enter_fee(self, transaction: Json, proposer: str) -> None:
        fee, tip = transaction["receipt"]["fee"], transaction["receipt"]["tip"]
        self.free[transaction["sender"]] -= fee + tip
        self.free[proposer] += tip
        self.burned += fee

    def _enter(self, event: Json, epoch: int) -> None:
        name, fields = event["name"], event["fields"]
        if name not in SILENT:
            getattr(self, "_on_" + RULES[name])(fields, epoch)

    # Downloads.

    def _on_session_opened(self, fields: Json, epoch: int) -> None:
        self.free[fields["payer"]] -= fields["deposit"]
        self.sessions += fields["deposit"]

    def _on_session_ended(self, fields: Json, epoch: int) -> None:
        self.free[fields["payer"]] += fields["refunded"]
        self.sessions -= fields["refunded"]

    def _on_settled(self, fields: Json, epoch: int) -> None:
        """70 % to the host, 10 % to lockers, both rounded down; the rest is burned."""
        rules, amount = self.parameters["sessions"], fields["amount"]
        income, lockers = amount * rules["host_ppm"] // PPM, amount * rules["lockers_ppm"] // PPM
        burned = amount - income - lockers
        assert (fields["income"], fields["to_lockers"], fields["burned"]) == (income, lockers, burned)
        assert fields["price_per_gib"] == rules["price_per_gib"]
        host = fields["host"]
        self.free[host] += income
        self.income[host] += income
        self.served[host] += fields["bytes"]
        self.lockers += lockers
        self.burned += burned
        self.sessions -= amount
        self.epoch_burned[epoch, host] += burned

    # Rewards.

    def _compute_pools(self, supply: int, elapsed_ms: int) -> dict[str, int]:
        rules, periods = self.parameters["rewards"], self.parameters["system"]
        assert elapsed_ms <= periods["block_ms"] * periods["epoch_blocks"]
        emission = supply * rules["emission_ppm"] * elapsed_ms // (PPM * YEAR_MS)
        shares = {name: emission * rules[f"{name}_ppm"] // PPM for name in ("hosting", "upload", "validator")}
        return {"emission": emission, "lockers": emission - sum(shares.values()), **shares}

    def _on_upload_rewarded(self, fields: Json, epoch: int) -> None:
        """0.9 of what the host's settlements of the epoch burned, at most its share of the pool."""
        assert fields["epoch"] == epoch
        burned = self.epoch_burned[epoch, fields["host"]]
        total = sum(amount for (when, _), amount in self.epoch_burned.items() if when == epoch)
        match = burned * self.parameters["rewards"]["match_ppm"] // PPM
        assert (fields["burned"], fields["burned_total"]) == (burned, total)
        assert fields["amount"] == min(match, fields["pool"] * burned // total)
        self.matched[epoch, fields["host"]] = fields["amount"]
        self._epoch_paid["upload"] += fields["amount"]

    def _on_hosting_rewarded(self, fields: Json, epoch: int) -> None:
        """The host's share, by bytes times factors, of the pool and of what uploads left of theirs."""
        weight = sum(one["weight"] for one in fields["factors"])
        for one in fields["factors"]:
            product = fields["pay_factor_ppm"] * one["scarcity_ppm"] * one["tenure_ppm"] // (PPM * PPM)
            bounded = min(product, self.parameters["rewards"]["weight_ppm_max"])
            assert one["factor_ppm"] == bounded // one["sharers"]
            assert one["weight"] == one["size_bytes"] * one["factor_ppm"] // PPM
        assert (fields["weight"], fields["datums"]) == (weight, len(fields["factors"]))
        due = fields["pool"] * weight // fields["weight_total"] if fields["is_proven"] and weight else 0
        assert fields["amount"] == due
        self._epoch_paid["hosting"] += due
        self._epoch_paid["hosting_pool"] = fields["pool"]
        self.hosted += bool(due)

    def _on_validator_rewarded(self, fields: Json, epoch: int) -> None:
        assert fields["amount"] == fields["pool"] * fields["power_signed"] // fields["power_due"]
        assert fields["to_delegators"] == 0
        self._epoch_paid["validator"] += fields["amount"]

    def _on_epoch_rewarded(self, fields: Json, epoch: int) -> None:
        """What was minted is what was paid, out of the pools that follow from the supply."""
        stated, paid = fields["pools"], self._epoch_paid
        pools = self._compute_pools(stated["supply"], stated["elapsed_ms"])
        assert (stated["emission"], stated["hosting"]) == (pools["emission"], pools["hosting"])
        assert (stated["uploads"], stated["validators"]) == (pools["upload"], pools["validator"])
        assert stated["validator_pot"] == 0
        left = pools["hosting"] + pools["upload"] - paid["upload"] - paid["hosting_pool"]
        assert left >= 0 and fields["lockers_paid"] == pools["lockers"] + left
        parts = (fields["uploads_paid"], fields["hosting_paid"], fields["validators_paid"])
        assert parts == (paid["upload"], paid["hosting"], paid["validator"])
        assert fields["minted"] == sum(parts) + fields["lockers_paid"]
        self.lockers += fields["lockers_paid"]
        self.minted += fields["minted"]
        self._epoch_paid.clear()

    def _on_paid(self, fields: Json, epoch: int) -> None:
        """A young host gets a part now; the rest, rounded up, is withheld."""
        rules, eras = self.parameters["escrow"], fields["proven_eras"]
        reached = [tier["share_ppm"] for tier in rules["tiers"] if eras < tier["proven_eras_below"]]
        share = reached[0] if reached else rules["last_share_ppm"]
        now = fields["amount"] * (PPM - share) // PPM
        assert (fields["share_ppm"], fields["withheld"]) == (share, fields["amount"] - now)
        self.free[fields["account"]] += now
        self.withheld[fields["account"]] += fields["amount"] - now

    def _on_released(self, fields: Json, epoch: int) -> None:
        self.free[fields["account"]] += fields["amount"]
        self.withheld[fields["account"]] -= fields["amount"]


def compute_price(size_bytes: int, price_per_gib: int) -> int:
    """Of so many bytes, rounded up."""
    return -(-size_bytes * price_per_gib // GIB)


def get_difference(before: Snapshot, after: Snapshot, account: str) -> tuple[int, int]:
    """By how much an account's free and withheld money changed."""
    free: Any = after.free[account] - before.free[account]
    return free, after.withheld[account] - before.withheld[account]
