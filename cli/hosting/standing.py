"""What the chain must know of a validator-host: bond, host record, candidacy, beacon chain, membership."""

from typing import Any, NamedTuple

from chain.genesis import ChainSpec
from chain.modules.beacon import CHAINS, NEXT_CHAINS, CommitChain, compute_chain
from chain.modules.hosting import RegisterHost
from chain.modules.membership import Join
from chain.modules.staking import Bond
from chain.modules.validators import sign_candidacy
from chain.primitives.types import Amount
from chain.spec_builder import BEACON_LINKS
from cli.content.catalogue import get_if_there
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.errors import RequestRefused
from cli.terminal import output
from cli.terminal.amounts import format_amount
from cli.transactions.sending import send
from node.duties.reveals import compute_chain_secret
from node.home.config import load_config
from node.home.home import Home
from node.keys.derivation import KeyRole
from p2p.identity import PeerAddress, compute_peer_id_of_seed, format_peer, parse_listen_address


class Wish(NamedTuple):
    """What the operator wants the account to be."""

    stake: Amount
    commission_ppm: int
    capacity: int
    reached_at: str | None
    """As typed; None: as registered before, else where the node listens."""


def check_stake(spec: ChainSpec, stake: Amount) -> None:
    """Raises RequestRefused if a validator needs more; asks nobody."""
    bond_min = spec.validators.parameters.bond_min
    if stake < bond_min:
        needed, given = (format_amount(units, spec.decimals, spec.symbol) for units in (bond_min, stake))
        raise RequestRefused(
            "validators.bond_too_small",
            f"a validator of {spec.name} bonds {needed} at least; --stake is {given}",
            f"--stake {format_amount(bond_min, spec.decimals)}",
        )


def take_standing(network: NetworkContext, account: WalletAccount, home: Home, wish: Wish) -> None:
    """Sends what is missing, in one transaction."""
    calls = list_missing_calls(network, account, home, wish)
    if not calls:
        output.say("standing: bonded, host, candidate, beacon, member")
        return
    output.say(f"standing: {', '.join(type(call).__name__ for call in calls)}")
    send(network, account, calls)


def list_missing_calls(network: NetworkContext, account: WalletAccount, home: Home, wish: Wish) -> list[Any]:
    """The calls whose effect is not there yet."""
    text = network.address(account.address)
    stored, host = network.client.get(f"/v1/accounts/{text}"), get_if_there(network, f"/v1/hosts/{text}")
    calls: list[Any] = []
    if stored["bond"]["active"] < wish.stake:
        calls.append(Bond(wish.stake - stored["bond"]["active"]))
    calls += list_host_calls(home, wish, None if host is None else host["host"])
    calls += list_candidacy_calls(network, account, home, wish)
    if not has_beacon(network, account):
        calls.append(CommitChain(*build_beacon(home)))
    if stored["membership"] is None:
        calls.append(Join())
    return calls


def list_host_calls(home: Home, wish: Wish, known: dict[str, Any] | None) -> list[Any]:
    """The host's record, if there is none, it is another node's, or another address was typed."""
    peer = compute_peer_id_of_seed(home.load_secret(KeyRole.NETWORK))
    is_own = known is not None and known["peer_id"] == format_peer(peer)
    reached_at = wish.reached_at or (None if is_own else load_config(home.config_file).p2p_listen)
    if reached_at is None:
        return []
    addresses = (str(PeerAddress(*parse_listen_address(reached_at), peer)),)
    if is_own and known is not None and tuple(known["addresses"]) == addresses:
        return []
    return [RegisterHost(peer, addresses, wish.capacity)]


def list_candidacy_calls(
    network: NetworkContext, account: WalletAccount, home: Home, wish: Wish
) -> list[Any]:
    """The candidacy, if the account does not stand or stands with another node's key."""
    candidates = {one["address"]: one for one in network.list_pages("/v1/validators", "candidates")}
    key, known = home.load_key(KeyRole.CONSENSUS), candidates.get(network.address(account.address))
    if known is not None and known["consensus_key"] == key.public_key.hex() and not known["is_chilled"]:
        return []
    commission_ppm = wish.commission_ppm if known is None else known["commission_ppm"]
    return [sign_candidacy(key, network.genesis_hash, account.address, commission_ppm)]


def has_beacon(network: NetworkContext, account: WalletAccount) -> bool:
    """Whether the chain knows a beacon chain of the account, in use or to come."""
    keys = (CHAINS.key(account.address), NEXT_CHAINS.key(account.address))
    answers = (network.client.get("/v1/proof", key=key.hex()) for key in keys)
    return any(answer["entries"][0]["value"] is not None for answer in answers)


def build_beacon(home: Home) -> tuple[bytes, int]:
    """(tip, links) of the node's first beacon chain."""
    secret = compute_chain_secret(home.load_secret(KeyRole.BEACON), 0)
    return compute_chain(secret, BEACON_LINKS), BEACON_LINKS
