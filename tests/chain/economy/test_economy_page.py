"""The worked example, docs/economy/example.md: every figure is computed by the program or given to it."""

import json
import re
from pathlib import Path

from chain.jsonable import from_json
from chain.modules import escrow, possession, rewards, sessions
from chain.modules.catalogue import GIB
from chain.modules.possession.types import History
from chain.primitives.fixed_point import mul_div, mul_ppm
from chain.primitives.types import PPM

VIDYA = 10**9
SUPPLY = 100_000_000 * VIDYA
ROW = re.compile(r"^\| (.+?) \| .+? \| ([\d,]+) \|$", re.MULTILINE)


def read_example(page: str) -> dict[str, int]:
    """The figures of the page's tables, by name."""
    return {name: int(figure.replace(",", "")) for name, figure in ROW.findall(page)}


def compute_example(spec: dict) -> dict[str, int]:
    """The same figures by the functions that pay."""
    parts = {
        name: from_json(kind, spec[name]["parameters"], "vidya")
        for name, kind in (
            ("sessions", sessions.Parameters),
            ("rewards", rewards.types.Parameters),
            ("escrow", escrow.Parameters),
        )
    }
    proving = from_json(possession.types.Parameters, spec["possession"]["parameters"], "vidya")
    sale = compute_sale(parts["sessions"])
    system = spec["system"]["parameters"]
    pools = compute_pools(parts["rewards"], system["block_ms"] * system["epoch_blocks"])
    uploads = compute_uploads(parts["rewards"], pools, sale["burned"])
    pool = pools["hosting pool"] + uploads["unspent"]
    hosting = compute_hosting(parts["rewards"], proving, pool)
    share = escrow.compute_share(parts["escrow"], 40)
    withheld = {
        "match at once": mul_ppm(uploads["match"], PPM - share),
        "hosting pay at once": mul_ppm(hosting["hosting pay"], PPM - share),
    }
    return {**sale, **pools, **uploads, **hosting, **withheld, **compute_validator(pools["validator pool"])}


def compute_sale(parameters: sessions.Parameters) -> dict[str, int]:
    price = sessions.compute_price(1_000_000_001, parameters.price_per_gib)
    split = sessions.calls.compute_split(parameters, price)
    return {"price": price, "income": split.income, "lockers": split.to_lockers, "burned": split.burned}


def compute_pools(parameters: rewards.types.Parameters, epoch_ms: int) -> dict[str, int]:
    emission = rewards.payments.compute_emission(parameters.emission_ppm, SUPPLY, epoch_ms)
    return {
        "emission": emission,
        "hosting pool": mul_ppm(emission, parameters.hosting_ppm),
        "upload pool": mul_ppm(emission, parameters.upload_ppm),
        "validator pool": mul_ppm(emission, parameters.validator_ppm),
    }


def compute_uploads(
    parameters: rewards.types.Parameters, pools: dict[str, int], burned: int
) -> dict[str, int]:
    pool, others = pools["upload pool"], 8 * VIDYA
    match = rewards.payments.compute_match(parameters.match_ppm, burned, pool, burned + others)
    rest = rewards.payments.compute_match(parameters.match_ppm, others, pool, burned + others)
    return {"match": match, "match of the other": rest, "unspent": pool - match - rest}


def compute_hosting(
    parameters: rewards.types.Parameters, proving: possession.types.Parameters, pool: int
) -> dict[str, int]:
    history = History(window=possession.types.PROVEN * 95 + possession.types.MISSED)
    pay_factor = possession.history.compute_pay_factor(proving, history)
    weights = []
    for size, hosts, eras in ((10 * GIB, 5, 40), (4 * GIB, 2, 3)):
        scarcity = rewards.weights.compute_scarcity(parameters, hosts)
        tenure = rewards.weights.compute_tenure(parameters, eras)
        factor = rewards.weights.compute_factor(parameters, pay_factor, scarcity, tenure)
        weights += [factor, mul_ppm(size, factor)]
    names = ("factor of A", "weight of A", "factor of B", "weight of B")
    return {
        "pay factor": pay_factor,
        **dict(zip(names, weights, strict=True)),
        "pool with the unspent": pool,
        "hosting pay": mul_div(pool, weights[1] + weights[3], 2_000 * GIB),
    }


def compute_validator(pool: int) -> dict[str, int]:
    pay = mul_div(pool, 148 * 2_000, 150 * 100_000)
    delegated = rewards.payments.compute_delegators_part(pay, 1_500 * VIDYA, 500 * VIDYA, 100_000)
    return {"validator pay": pay, "to delegators": delegated, "own part": pay - delegated}


def test_worked_example_is_what_the_rules_pay(repository: Path) -> None:
    """Every figure of the page follows from the code and the public parameters, to the base unit."""
    spec = json.loads((repository / "genesis" / "public.json").read_text())
    page = (repository / "docs" / "economy" / "example.md").read_text()
    assert read_example(page) == compute_example(spec)


POOLS = ("hosting", "upload", "validator")
GIVEN = (
    "public network (15 minutes)",
    "was 100,000,000 VIDYA",
    "40 eras ago",
    "1,000,000,001 bytes; one other host's sales burned 8 VIDYA",
    "datum A, 10 GiB, since its first day and with 4 other hosts, and datum B, 4 GiB, for 3 eras",
    "proven 95 of its last 96 epochs",
    "weigh 2,000 GiB",
    "with 2,000 of 100,000 units of power and signed 148 of the epoch's 150 commits. 1,500 VIDYA",
    "own, 500 delegated; its commission is 10 %",
    "10^9 are one VIDYA",
)
"""What the example assumes: the arguments that are passed above."""


def test_the_example_says_what_it_assumes_and_nothing_else(repository: Path) -> None:
    """Outside the tables each figure is an assumption; the tables name how each row is computed."""
    page = (repository / "docs" / "economy" / "example.md").read_text()
    spec = json.loads((repository / "genesis" / "public.json").read_text())
    sold, paid = spec["sessions"]["parameters"], spec["rewards"]["parameters"]
    shares = [sold["host_ppm"], sold["lockers_ppm"], *(paid[f"{pool}_ppm"] for pool in POOLS)]
    for name, ppm in zip(("income", "lockers", *(f"{pool} pool" for pool in POOLS)), shares, strict=True):
        assert f"| {name} | {ppm // 10_000} % |" in page
    text = " ".join(re.sub(r"^\|.*$", "", page, flags=re.MULTILINE).split())
    for phrase in GIVEN:
        assert phrase in text, phrase
        text = text.replace(phrase, "")
    assert re.findall(r".{20}\d.{10}", text) == []
