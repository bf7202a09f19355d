"""Addresses as QR codes."""

import pytest
import segno

from chain.primitives.addresses import decode_address, encode_address
from cli.terminal.qr import BLACK_ON_WHITE, BLOCKS, QUIET_MODULES, RESET, draw

ADDRESS = encode_address("vidya", bytes(range(32)))
PAIRS = {block: pair for pair, block in BLOCKS.items()}


def read_modules(lines: list[str]) -> list[list[bool]]:
    """The rows that the blocks stand for."""
    return [[PAIRS[block][half] for block in line] for line in lines for half in (0, 1)]


def test_a_code_without_colours_shows_each_module() -> None:
    """The drawn blocks are the light modules of the code of the address in capitals."""
    light = read_modules(draw(ADDRESS, is_coloured=False))
    expected = [[not dark for dark in row] for row in segno.make_qr(ADDRESS.upper(), error="m").matrix]
    size = len(expected)
    inner = [row[QUIET_MODULES : QUIET_MODULES + size] for row in light[QUIET_MODULES : QUIET_MODULES + size]]
    assert inner == expected


def test_a_code_has_a_light_border() -> None:
    """Readers find a code by the light modules around it."""
    light = read_modules(draw(ADDRESS, is_coloured=False))
    assert all(all(row) for row in light[:QUIET_MODULES])
    assert all(all(row[:QUIET_MODULES]) and all(row[-QUIET_MODULES:]) for row in light[:-QUIET_MODULES])


def test_a_coloured_code_is_black_on_white() -> None:
    """With colours the same modules are dark, whatever the colours of the terminal are."""
    lines = draw(ADDRESS, is_coloured=True)
    plain = [line.removeprefix(BLACK_ON_WHITE).removesuffix(RESET) for line in lines]
    assert all(line.startswith(BLACK_ON_WHITE) and line.endswith(RESET) for line in lines)
    dark, light = read_modules(plain), read_modules(draw(ADDRESS, is_coloured=False))
    assert [[not module for module in row] for row in light][:-1] == dark[:-1]


@pytest.mark.parametrize("prefix", ["vidya", "vdev"])
def test_a_code_fits_a_narrow_terminal(prefix: str) -> None:
    """60 columns are enough, and what is in it names the same account."""
    address = encode_address(prefix, bytes(range(32)))
    assert max(map(len, draw(address, is_coloured=False))) <= 60
    assert decode_address(prefix, address.upper()) == decode_address(prefix, address)
