"""The pages on blocks, transactions and genesis say what the program does: lists, names and known answers."""

import re
from pathlib import Path

import pytest

from chain.block import (
    BlockReceipts,
    Header,
    Inherents,
    compute_extrinsics_root,
    compute_header_hash,
    compute_receipts_root,
)
from chain.genesis import BUILDERS, ChainSpec
from chain.jsonable import get_fields
from chain.list_tree import compute_list_root
from chain.modules import balances, fees, schedule, system
from chain.primitives.codec import encode
from chain.primitives.keys import KeyPair
from chain.runtime import build_call
from chain.transaction import Transaction, sign_transaction

CODE = re.compile(r'InvalidTransaction\(\s*"([a-z_]+)"')
HEX_ROW = re.compile(r"^\| (.+) \| `([0-9a-f]{64,})` \|$", re.MULTILINE)
KEY = KeyPair(b"\1" * 32)
TRANSACTION = Transaction(
    version=1,
    genesis_hash=b"\2" * 32,
    sender=KEY.public_key,
    nonce=3,
    valid_until=100,
    fee_max=1_000_000,
    tip=5,
    calls=(build_call(balances.Send(b"\3" * 32, 7)),),
)
SIGNED = sign_transaction(KEY, TRANSACTION)
INHERENTS = Inherents(None, None)


@pytest.fixture
def read(repository: Path):  # type: ignore[no-untyped-def]
    """A page by its name."""
    return lambda name: (repository / "docs" / "spec" / f"{name}.md").read_text()


def test_known_answers_of_transactions(read) -> None:  # type: ignore[no-untyped-def]
    """Bytes, signature and id of one transfer."""
    assert dict(HEX_ROW.findall(read("transactions"))) == {
        "transaction": encode(TRANSACTION).hex(),
        "signature": SIGNED.signature.hex(),
        "id": SIGNED.id.hex(),
    }


def test_known_answers_of_blocks(read) -> None:  # type: ignore[no-untyped-def]
    """Roots of lists, of extrinsics and of receipts, and the name of a header."""
    header = Header(1, 1, 1000, *(bytes((number,)) * 32 for number in range(1, 9)))
    entries = (b"a", b"b", b"c")
    expected = [
        *(compute_list_root(entries[:count]) for count in (1, 2, 3)),
        compute_header_hash(header),
        compute_extrinsics_root(INHERENTS, ()),
        compute_extrinsics_root(INHERENTS, (SIGNED.id,)),
        compute_receipts_root(BlockReceipts((), (), ())),
    ]
    assert [answer for _, answer in HEX_ROW.findall(read("blocks"))] == [one.hex() for one in expected]


def test_every_refusal_of_a_transaction_is_listed(read, repository: Path) -> None:  # type: ignore[no-untyped-def]
    """And nothing is listed that is never raised."""
    sources = (path for folder in ("chain", "node") for path in (repository / folder).rglob("*.py"))
    raised = {code for path in sources for code in CODE.findall(path.read_text())}
    page = read("transactions").split("## Refusals\n")[1].split("\nAnd these say why", maxsplit=1)[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)) == raised


def test_every_module_and_call_is_listed_with_its_number(read) -> None:  # type: ignore[no-untyped-def]
    """In the order of their numbers, duties marked."""
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.*?) ?\| (?:`\w+\.md`|here) \|$", read("blocks"), re.MULTILINE)
    expected = []
    for module in sorted(schedule.MODULES, key=lambda module: module.index):
        names = [spec.name + " (duty)" * spec.is_duty for _, spec in sorted(module.calls.items())]
        expected.append((str(module.index), module.name, ", ".join(names)))
    assert rows == expected


def get_hook_line(name: str, hooks: tuple[schedule.Hook, ...]) -> str:
    """How the page lists the hooks of a stage."""
    modules = [hook.__module__.split(".")[2] for hook in hooks]
    return f"{name}: {', '.join(modules)}"


def test_hooks_are_listed_in_their_order(read) -> None:  # type: ignore[no-untyped-def]
    """The order is protocol."""
    text = read("blocks").replace("hooks of ", "").replace("**", "")
    text = re.sub(r", in the (first|last) block of an (epoch|era):", ":", text)
    for name, hooks in (
        ("Block start", schedule.ON_BLOCK_START),
        ("Epoch start", schedule.ON_EPOCH_START),
        ("Epoch end", schedule.ON_EPOCH_END),
        ("Era end", schedule.ON_ERA_END),
        ("Block end", schedule.ON_BLOCK_END),
    ):
        assert get_hook_line(name, hooks) in text, name


def test_every_field_of_a_chain_spec_is_described(read) -> None:  # type: ignore[no-untyped-def]
    """Top level, lists of modules, parameters of system and fees; and the order of building."""
    page = read("genesis")
    modules = [name for name, _ in BUILDERS]
    fields = {name: kind for name, kind, _ in get_fields(ChainSpec)}
    for name in fields:
        assert name in modules or f"`{name}`" in page, name
    for module in modules:
        for name, _, _ in get_fields(fields[module]):
            assert name == "parameters" or f"`{module}.{name}`" in page, (module, name)
    for kind in (system.Parameters, fees.Parameters):
        for name, _, _ in get_fields(kind):
            assert f"`{name}`" in page, name
    listed = page.split("the modules in the order ")[1].split(".", maxsplit=1)[0]
    assert [name.strip() for name in listed.replace("\n", " ").split(",")] == modules
