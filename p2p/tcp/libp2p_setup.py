"""Prepares py-libp2p: checks its version and silences its log.

The defences depend on internals of one version (named in `muxer.py`), so another one must fail at start.
libp2p logs each malformed message of a stranger as an error, so a stranger could fill the disk. Our own
boundary logs what matters.
"""

import logging
from importlib.metadata import version

VERSION = "0.8.1"


class WrongLibp2pVersion(Exception):
    """The installed libp2p is not the one this code was tested with; the node does not start."""


def prepare_libp2p() -> None:
    """Raises WrongLibp2pVersion."""
    installed = version("libp2p")
    if installed != VERSION:
        raise WrongLibp2pVersion(f"libp2p {installed} is installed, exactly {VERSION} is needed")
    logging.getLogger("libp2p").setLevel(logging.CRITICAL + 1)
