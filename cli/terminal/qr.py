"""An address as a QR code, drawn with half blocks: one character shows two modules, one above the other.

In capitals, as BIP-350 advises: a QR code holds capitals and digits in fewer modules, and both forms name the
same account. Not here: the encoding itself (segno, ISO/IEC 18004).
"""

from collections.abc import Iterable, Sequence

import segno

QUIET_MODULES = 4
"""The light border that a reader needs (ISO/IEC 18004, 7.3.8)."""
BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
BLACK_ON_WHITE, RESET = "\x1b[30;107m", "\x1b[0m"


def draw(address: str, *, is_coloured: bool) -> list[str]:
    """The lines of the code.

    With colours it is black on white. Without them the blocks are the light modules: right where text is
    lighter than its ground.
    """
    modules = [[bool(module) for module in row] for row in build_modules(address)]
    if is_coloured:
        return [f"{BLACK_ON_WHITE}{line}{RESET}" for line in draw_blocks(modules)]
    return draw_blocks([[not module for module in row] for row in modules])


def build_modules(address: str) -> Iterable[Iterable[int]]:
    """Rows of modules, 1 for a dark one, with the quiet zone."""
    return segno.make_qr(address.upper(), error="m").matrix_iter(border=QUIET_MODULES)


def draw_blocks(modules: Sequence[Sequence[bool]]) -> list[str]:
    """Two rows of modules a line; a row that is missing at the end is drawn as if it were blank."""
    blank = [False] * len(modules[0])
    pairs = zip(modules[::2], [*modules[1::2], blank], strict=False)
    return ["".join(BLOCKS[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in pairs]
