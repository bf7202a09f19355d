"""What must hold of py-libp2p before it is used: the one version, and silence.

The defences lean on internals of that version (named in `muxer.py`), so another one must fail at start.
libp2p logs each malformed message of a stranger as an error; whoever can send bytes could fill the disk.
What matters of it is logged by our own boundary.
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
