"""A juror's vote: its commitment, and how the vote is found again when it must be revealed.

The salt of a commitment follows from the juror's own key and the case. So nothing has to be kept between the
two steps: not in this folder, and not on this machine. Who does not have the key can neither compute the salt
nor read the vote. A commitment that was made by another program has another salt, and is not found here.
"""

from typing import Any

from chain.modules.juries import RevealVerdict, compute_commitment
from chain.primitives.codec import encode
from chain.primitives.hashing import Domain
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash
from cli.errors import CliError
from cli.exits import ExitCode

VERDICTS = {"junk": True, "sound": False}


def compute_salt(key: KeyPair, genesis_hash: Hash, case: int) -> Hash:
    """The salt of a juror's vote in a case."""
    return key.compute_secret(Domain.JURY_SALT, encode((genesis_hash, case)))


def build_commitment(key: KeyPair, genesis_hash: Hash, case: int, *, is_junk: bool) -> Hash:
    """What the juror commits to."""
    salt = compute_salt(key, genesis_hash, case)
    return compute_commitment(genesis_hash, case, key.public_key, is_junk, salt)


def find_vote(key: KeyPair, genesis_hash: Hash, case: int, commitment: str | None) -> bool | None:
    """Whether a commitment (hex) is this key's vote for junk (True) or against it; None if it is neither."""
    for is_junk in VERDICTS.values():
        if commitment == build_commitment(key, genesis_hash, case, is_junk=is_junk).hex():
            return is_junk
    return None


def build_reveal(key: KeyPair, genesis_hash: Hash, case: int, seat: dict[str, Any]) -> RevealVerdict:
    """The call that reveals a seat's vote; raises CliError if there is none, or if it cannot be found."""
    if seat["commitment"] is None:
        raise CliError("juries.not_voted", f"no vote was sent in case {case}, so there is nothing to reveal")
    is_junk = find_vote(key, genesis_hash, case, seat["commitment"])
    if is_junk is None:
        raise CliError(
            "juries.foreign_vote",
            f"the vote in case {case} has a salt that this key does not give: another program sent it",
            f"reveal it there, or with `vidya tx reveal-verdict --case {case} --is-junk YES|NO --salt SALT`",
        )
    return RevealVerdict(case, is_junk, compute_salt(key, genesis_hash, case))


def check_first_vote(case: int, known: bool | None, *, is_junk: bool) -> None:
    """Raises CliError if the juror has committed to the other verdict."""
    if known is not None and known is not is_junk:
        told = "junk" if known else "sound"
        message = f"you voted {told} in case {case}; a second, different vote is not sent"
        raise CliError("juries.already_voted", message, status=ExitCode.NOT_ALLOWED)
