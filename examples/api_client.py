"""A client of the HTTP API: reads the chain, sends a transfer, waits until it is final.

Start a node and, in another terminal, set the variables that it prints; then run this:

    vidya node start --dev
    export VIDYA_API=... VIDYA_HOME=... VIDYA_PASSWORD_FILE=...
    .venv/bin/python examples/api_client.py alice bob 12

The routes are in `docs/spec/api.md`. A client in another language needs the encoding of transactions
(`docs/spec/transactions.md`) and Ed25519; this one takes both from `chain/`. The key stays in this process.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from chain.modules import balances
from chain.primitives.addresses import encode_address
from chain.primitives.codec import encode, replace
from chain.primitives.keys import KeyPair
from chain.runtime import build_call
from chain.transaction import Transaction, sign_transaction
from node.keys import keystore

LIFETIME_BLOCKS = 60
POLL_SECONDS = 0.2
FINAL_SECONDS_MAX = 60.0


class Refused(Exception):
    """The node answered with an error; its text has the API's code and message."""


def ask(http: httpx.Client, method: str, path: str, **details: Any) -> Any:
    """The JSON that a route answers; raises Refused."""
    answer = http.request(method, path, **details)
    body = answer.json()
    if answer.is_error:
        raise Refused(f"{body['error']['code']}: {body['error']['message']}")
    return body


def build_transfer(
    http: httpx.Client, key: KeyPair, prefix: str, recipient: bytes, amount: int
) -> Transaction:
    """A transfer at the sender's next nonce, with the fee bound that a dry run suggests."""
    status = ask(http, "GET", "/v1/status")
    account = ask(http, "GET", f"/v1/accounts/{encode_address(prefix, key.public_key)}")
    transaction = Transaction(
        version=1,
        genesis_hash=bytes.fromhex(status["chain_id"]),  # so that it holds in this network only
        sender=key.public_key,
        nonce=account["nonce_next"],
        valid_until=status["height"] + LIFETIME_BLOCKS,  # after this height its absence is certain
        fee_max=0,
        tip=0,
        calls=(build_call(balances.Send(recipient, amount)),),
    )
    trial = ask(http, "POST", "/v1/transactions/dry-run", json=encode(transaction).hex())
    if trial["outcome"] != "ok":
        raise Refused(f"{trial['error']['code']}: {trial['error']['message']}")
    return replace(transaction, fee_max=trial["fee_max_suggested"])


def wait_until_final(http: httpx.Client, tx_id: str, valid_until: int) -> Any:
    """What became of a transaction, once that cannot change any more; raises TimeoutError."""
    deadline = time.monotonic() + FINAL_SECONDS_MAX
    while time.monotonic() < deadline:
        found = ask(http, "GET", f"/v1/transactions/{tx_id}", params={"valid_until": valid_until})
        if found["status"] in {"final", "expired", "rejected"}:
            return found
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"{tx_id} is still {found['status']}")


def open_key(name: str) -> KeyPair:
    """The key of that name in the wallet of VIDYA_HOME."""
    password = Path(os.environ["VIDYA_PASSWORD_FILE"]).read_text().rstrip("\r\n")
    key_file = keystore.load(Path(os.environ["VIDYA_HOME"]) / "wallet", name)
    return KeyPair(keystore.unlock(key_file, password))


def main(sender: str, recipient: str, whole_units: str) -> None:
    """Send `whole_units` tokens from one key of the wallet to the account of another."""
    with httpx.Client(base_url=os.environ["VIDYA_API"], trust_env=False) as http:
        status = ask(http, "GET", "/v1/status")
        print(f"{status['name']} is at height {status['height']}")
        key, amount = open_key(sender), int(whole_units) * 10 ** status["decimals"]
        payee = keystore.load(Path(os.environ["VIDYA_HOME"]) / "wallet", recipient).address
        transfer = build_transfer(http, key, status["prefix"], payee, amount)
        signed = sign_transaction(key, transfer)
        ask(http, "POST", "/v1/transactions", json=encode(signed).hex())
        found = wait_until_final(http, signed.id.hex(), transfer.valid_until)
        print(f"{found['status']} in block {found['height']}, fee {found['receipt']['fee']} base units")
        address = encode_address(status["prefix"], payee)
        print(f"{recipient} has {ask(http, 'GET', f'/v1/accounts/{address}')['balance']} base units")


if __name__ == "__main__":
    main(*sys.argv[1:])
