"""Chain specs in files: read, and checked by building the genesis of their network. Errors name the file."""

from pathlib import Path

from chain.errors import InvalidChainSpec
from chain.genesis import CHAIN_SPEC_BYTES_MAX, ChainSpec, build_genesis_state, parse_chain_spec


def load_chain_spec(path: Path) -> ChainSpec:
    """The spec in a file; raises InvalidChainSpec, OSError."""
    with path.open("rb") as file:
        data = file.read(CHAIN_SPEC_BYTES_MAX + 1)
    try:
        return parse_chain_spec(data)
    except InvalidChainSpec as error:
        raise InvalidChainSpec(f"{path}: {error}") from error


def check_chain_spec(path: Path, spec: ChainSpec) -> int:
    """Entries in the state of its genesis; raises InvalidChainSpec if no chain can start from it."""
    try:
        return len(build_genesis_state(spec))
    except InvalidChainSpec as error:
        raise InvalidChainSpec(f"{path}: {error}") from error
