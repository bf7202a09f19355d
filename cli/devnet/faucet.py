"""Money for an account of a devnet, out of its treasury."""

from dataclasses import replace
from typing import Any

from chain.modules.balances import Send
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.context.readable import make_readable
from cli.devnet.plan import TREASURY, Devnet
from cli.errors import CliError
from cli.nodes.processes import connect_home
from cli.terminal.options import Settings
from cli.transactions.sending import send
from node.home.process import find_process
from node.keys import keystore
from node.keys.keystore import KeystoreError


def give(devnet: Devnet, settings: Settings, name: str, amount: str) -> Any:
    """Sends it and waits until that is final; raises CliError if no node runs or nobody has this name."""
    running = [home for home in devnet.list_homes() if find_process(home.path) is not None]
    if not running:
        hint = f"`vidya devnet up --dir {devnet.path}`"
        raise CliError("not_running", f"no node of the devnet in {devnet.path} runs", hint)
    network = NetworkContext(settings, connect_home(running[0]))
    payer = replace(settings, home=devnet.path, password_file=devnet.password_file)
    account = WalletAccount(payer, keystore.load(devnet.wallet, TREASURY))
    units = network.parse_amount(amount)
    recipient = find_recipient(network, payer, name)
    outcome = send(NetworkContext(payer, network.client), account, [Send(recipient, units)])
    told = {"recipient": network.address(recipient), "amount": units, "id": outcome["id"]}
    return make_readable(network, told)


def find_recipient(network: NetworkContext, own: Settings, name: str) -> bytes:
    """The account of an address, of a key of the user's wallet, or of one of the devnet's."""
    try:
        return network.find_address(name)
    except (KeystoreError, CliError):
        return NetworkContext(own, network.client).find_address(name)
