"""One validator-host is killed: the chain goes on, the host pays for it, comes back and is elected again."""

import pytest

from chain.primitives.addresses import decode_address
from tests.e2e.audit.signatures import Audit, list_votes
from tests.e2e.harness import Event, Json, Network, Node, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1200)]

PPM = 10**6
EPOCHS_MAX = 14
"""Two epochs to be missed, one in jail, a window of four to be proven, and the end of an era of six."""
SECONDS_PER_EPOCH_MAX = 60.0


def wait_event(node: Node, name: str, first: int, epochs: int = EPOCHS_MAX, **fields: str) -> Event:
    """The first event of its kind after a height."""
    found = wait_for(name, lambda: node.find_events(name, first, **fields), epochs * SECONDS_PER_EPOCH_MAX)
    return found[0]


def get_standing(witness: Node, account: str) -> Json:
    """The account among those who stand for election."""
    (found,) = [one for one in witness.get("validators")["candidates"] if one["address"] == account]
    return found


def has_signed(witness: Node, account: str, height: int) -> bool:
    """Whether the account is among those whose precommits made a block final."""
    prefix = witness.get("status")["prefix"]
    block = witness.get_block(height + 1)
    certificates = (witness.get_block(height)["certificate"], block["inherents"]["last_commit"])
    signers = [vote.validator for one in certificates for vote in list_votes(prefix, one)]
    return decode_address(prefix, account) in signers


def test_a_killed_host_pays_and_comes_back(network: Network) -> None:
    """Killed, it is missed, jailed, slashed and out; restarted, it catches up, unjails and is elected."""
    *others, victim = network.nodes
    witness, account = others[0], victim.account
    wait_for("the victim to prove", lambda: get_standing(witness, account)["pay_factor"] == PPM, 240)
    before, killed_at = get_standing(witness, account), witness.height
    assert before["is_validator"] and has_signed(witness, account, killed_at - 5)
    victim.kill()

    network.wait_blocks(5, others)
    missed = wait_event(witness, "possession.Missed", killed_at, host=account)
    assert missed.fields["pay_factor"] == 0
    punished = wait_event(witness, "offences.MissesPunished", killed_at, host=account)
    rules = network.get_parameters()
    ppm = rules["offences"]["miss_slash_ppm"]
    assert (punished.fields["ppm"], punished.fields["jailings"]) == (ppm, 0)
    slashed = wait_event(witness, "staking.Slashed", punished.height, host=account)
    assert (slashed.height, slashed.fields["reason"]) == (punished.height, "proofs_missed")
    check_shares(rules["staking"], slashed.fields, before["bond"] * ppm // PPM)
    (removed,) = witness.find_events("validators.Removed", punished.height, validator=account)
    jailed = get_standing(witness, account)
    assert jailed["is_jailed"] and jailed["pay_factor"] == 0
    assert jailed["bond"] == before["bond"] - slashed.fields["bond"]
    network.wait_height(removed.height + 3, others)
    assert account not in [one["address"] for one in witness.get("validators")["validators"]]
    network.check_supply(witness)

    network.up()
    back_at = witness.height
    victim.wait_height(back_at)
    network.check_agreement()
    wait_for("the jail's end", lambda: is_term_over(witness, account), EPOCHS_MAX * SECONDS_PER_EPOCH_MAX)
    network.run("tx", "unjail", "--from", victim.name, "-y")
    assert not get_standing(witness, account)["is_jailed"]
    wait_event(witness, "possession.Proven", back_at, host=account)
    wait_for(
        "the election",
        lambda: get_standing(witness, account)["is_validator"],
        EPOCHS_MAX * SECONDS_PER_EPOCH_MAX,
    )
    elected_at = witness.height
    wait_for(
        "its signature",
        lambda: any(has_signed(witness, account, h) for h in range(elected_at, witness.height)),
        120,
    )
    network.check_agreement()
    network.check_supply()
    audit = Audit()
    for node in network.nodes:
        audit.read_chain(node)
    assert audit.find_conflicts() == {}


def is_term_over(witness: Node, account: str) -> bool:
    """Whether the next block may release it from jail."""
    return bool(witness.get("status")["epoch"] >= get_standing(witness, account)["jailed_until"])


def check_shares(rules: Json, slashed: Json, bond: int) -> None:
    """Half is burned, a quarter repairs, the rest is the validators': no reporter shares in missed proofs."""
    total = sum(slashed[part] for part in ("bond", "unlocking", "delegated", "leaving", "escrow"))
    assert slashed["bond"] == bond
    assert slashed["repair"] == total * rules["slash_repair_ppm"] // PPM
    assert slashed["validators"] == total * rules["slash_validators_ppm"] // PPM
    assert slashed["reporter"] == 0
    assert slashed["burned"] == total - slashed["repair"] - slashed["validators"]
