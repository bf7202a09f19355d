"""The profiles of chain specs that come with the program, in `genesis/`."""

from pathlib import Path

from chain.genesis import ChainSpec, parse_chain_spec

PROFILES = Path(__file__).parents[2] / "genesis"


def load_profile(name: str) -> ChainSpec:
    """`devnet`, `minimal` or `public`; raises InvalidChainSpec, FileNotFoundError."""
    return parse_chain_spec((PROFILES / f"{name}.json").read_bytes())
