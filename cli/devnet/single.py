"""`vidya node start --dev`: one validator with fast blocks, in a folder that goes when it stops."""

import tempfile
from pathlib import Path

from cli.devnet.plan import Devnet, Options, create
from cli.nodes.homes import run_home
from cli.terminal import output
from cli.terminal.options import Settings

BLOCK_MS = 250


def run_dev(settings: Settings) -> None:
    """Makes it, says how to use it, runs it until Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="vidya-dev-") as folder:
        network = Devnet(Path(folder))
        create(network, Options(validators=1, block_ms=BLOCK_MS, first_port=0))
        summary = network.load_summary()
        for account in summary["accounts"]:
            output.say(f"  {account['name']:8} {account['address']}")
        api = summary["nodes"][0]["api"]
        output.say("in another terminal:\n")
        output.say(
            f"  export VIDYA_API={api} VIDYA_HOME={folder} VIDYA_PASSWORD_FILE={network.password_file}\n",
            is_whole=True,
        )
        run_home(network.list_homes()[0])
