"""A validator's disk runs full while it runs: it stops signing, waits, and comes back by itself."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from chain.primitives.addresses import decode_address
from tests.e2e.audit.signatures import Audit, list_votes
from tests.e2e.harness import STOP_SECONDS_MAX, Json, Network, Node, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1200)]

ROOM_BYTES = 2**26
"""What the disk has beside what is on it when the test begins."""
PIECE_BYTES = 2**16
TIMES_FULL = 3


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """The folder on a disk of its own, of little more than it holds."""
    used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    kept = folder.rename(folder.with_name("kept"))
    folder.mkdir()
    size = used + ROOM_BYTES
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        folder.rmdir()
        kept.rename(folder)
        pytest.skip(f"needs leave to mount a disk: {mounted.stderr.decode().strip()}")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield
    finally:
        shutil.rmtree(kept)
        shutil.copytree(folder, kept)
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()
        kept.rename(folder)


def fill(folder: Path) -> Path:
    """Takes all the room that is left, whatever is freed meanwhile."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        size = PIECE_BYTES
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return filler


def list_signers(witness: Node, first: int, last: int) -> set[str]:
    """Accounts whose precommits are in the blocks' certificates, by the witness and by the next block."""
    prefix = witness.get("status")["prefix"]
    blocks: list[Json] = [witness.get_block(height) for height in range(first, last + 1)]
    certificates = [
        one for block in blocks for one in (block["certificate"], block["inherents"]["last_commit"])
    ]
    return {vote.validator.hex() for one in certificates for vote in list_votes(prefix, one)}


def test_a_full_disk_is_waited_for(network: Network) -> None:
    """Signing stops, the process stays and says why, the others go on; with room again it signs again.

    No command is needed, no slot is signed twice, and what it has afterwards is what the others have.
    """
    victim, *others = reversed(network.nodes)
    witness = others[0]
    me = decode_address(witness.get("status")["prefix"], victim.account).hex()
    victim.stop()
    with small_disk(victim.home.data):
        victim.start()
        pid = victim.pid
        network.wait_blocks(2)
        for number in range(TIMES_FULL):
            begun = victim.home.log_file.stat().st_size
            filler = fill(victim.home.data)
            wait_for("the failure", partial(has_said, victim, "disk_failed", begun), 120)
            stopped = max(node.height for node in others) + 2
            network.wait_height(stopped + 3, others)
            assert victim.pid == pid and victim.try_get("status") is None
            assert me not in list_signers(witness, stopped, stopped + 3), number
            filler.unlink()
            victim.wait_height(witness.height)
            assert victim.pid == pid
            wait_for(
                "its signature", lambda: me in list_signers(witness, witness.height - 1, witness.height), 120
            )
            network.check_agreement()
        network.check_supply(victim)
        audit = Audit()
        for node in network.nodes:
            audit.read_chain(node)
        victim.stop()
        audit.read_sign_state(victim)
        audit.read_log(victim)
        assert audit.find_conflicts() == {}


def test_a_start_on_a_full_disk_is_no_loop(network: Network) -> None:
    """The process waits, can be stopped while it does, and serves when there is room; nothing is damaged."""
    victim = network.nodes[-1]
    if victim.pid is not None:
        victim.stop()
    with small_disk(victim.home.data):
        filler = fill(victim.home.data)
        for _ in range(2):
            begun = victim.home.log_file.stat().st_size
            process = victim.launch_unnoted()
            wait_for("the failure", partial(has_said, victim, "next_try_seconds=4", begun), 120)
            assert process.poll() is None and victim.try_get("status") is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS_MAX) == 0
        process = victim.launch_unnoted()
        filler.unlink()
        victim.wait_height(network.nodes[0].height)
        network.wait_blocks(2)
        network.check_agreement()
        victim.stop()


def has_said(node: Node, word: str, offset: int) -> bool:
    """Whether it is in the node's log behind that place."""
    with node.home.log_file.open("rb") as file:
        file.seek(offset)
        return word.encode() in file.read()
