"""`vidya light`: the chain without a node of one's own. Any node is asked, none is trusted.

`verify` follows the headers from the chain spec, or from a block that the user names, and holds the result
against witnesses. What was verified is kept in the home, so that the next time begins there. `sample` draws
some of the possession proofs of an epoch and checks them from the headers.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.terminal.options import Settings, command
from cli.terminal.wording import format_count

if TYPE_CHECKING:
    from chain.genesis import ChainSpec
    from chain.light import Divergence
    from cli.context.client import Client
    from cli.context.network import NetworkContext
    from cli.light.client import LightClient

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

POLL_SECONDS = 0.5

Chain = Annotated[Path, typer.Option("--chain", metavar="FILE", help="Chain spec: what trust begins with.")]
NodeUrl = Annotated[str | None, typer.Option("--node", metavar="URL", help="Node to ask; else as --api.")]
Witnesses = Annotated[
    list[str] | None, typer.Option("--witness", metavar="URL", help="Another node, to compare; repeatable.")
]
Anchor = Annotated[
    str | None,
    typer.Option("--trust", metavar="HEIGHT:HASH", help="A block that somebody you trust names."),
]


@app.callback()
def light() -> None:
    """The chain without a node of one's own: any node is asked, none is trusted."""


@command(app)
def verify(
    settings: Settings,
    chain: Chain,
    node: NodeUrl = None,
    witness: Witnesses = None,
    trust: Anchor = None,
    height: Annotated[int | None, typer.Option(min=0, help="Height to verify; the newest if none.")] = None,
) -> None:
    """Verify the header of a height by the signatures of the validators; compare it with witnesses."""
    from chain.light import Divergence
    from cli.context.network import load_spec
    from cli.context.readable import make_readable
    from cli.light.client import describe_header

    spec = load_spec(chain)
    client, others = open_client(settings, spec, node, witness or [], trust)
    try:
        header, root = client.reach(height)
    except Divergence as found:
        raise report(settings, spec, found, others) from found
    told = {
        "verified": True,
        **describe_header(header),
        "trusted_from": root.header.height,
        "headers_downloaded": client.downloads,
        "witnesses": client.agreed,
    }
    settings.emit(make_readable(build_network(settings, spec, others[0]), told))


@command(app)
def sample(
    settings: Settings,
    chain: Chain,
    node: NodeUrl = None,
    trust: Anchor = None,
    epochs: Annotated[
        int, typer.Option(min=1, max=10_000, help="How many epochs, each once it is judged.")
    ] = 1,
) -> None:
    """Check 16 possession proofs of an epoch, drawn at random: that hosts have shown what was asked."""
    from cli.context.network import load_spec
    from cli.errors import CliError
    from cli.exits import ExitCode
    from cli.light.sampling import describe_chances
    from cli.screens.light import build_sample
    from cli.screens.showing import show

    spec = load_spec(chain)
    client, (api,) = open_client(settings, spec, node, [], trust)
    found = list(islice(iterate_samples(api, client), epochs))
    draws = [one for each in found for one in each["draws"]]
    missing = [one for one in draws if one["outcome"] == "not_shown"]
    told = {
        "epochs": found,
        "shown": sum(one["outcome"] == "shown" for one in draws),
        "missed": sum(one["outcome"] == "missed" for one in draws),
        "not_shown": len(missing),
        "unnoticed_if_missing": describe_chances(len(draws)),
    }
    show(build_network(settings, spec, api), told, build_sample)
    if missing:
        hint = "another node may show it; if none does, validators have let it pass"
        message = f"{len(missing)} of {len(draws)} proofs are not shown; {missing[0]['reason']}"
        raise CliError("not_shown", message, hint, ExitCode.NOT_PROVEN)


def iterate_samples(api: "Client", client: "LightClient") -> Iterator[dict[str, Any]]:
    """A sample of each epoch from this one on, as soon as it is judged."""
    from cli.light.sampling import EpochOver, Sampler, find_epoch
    from cli.terminal import output

    last = -1
    while True:
        epoch = find_epoch(api, client)
        if epoch is None or epoch == last:
            output.show_line("waiting until the epoch is judged")
            time.sleep(POLL_SECONDS)
            continue
        with suppress(EpochOver):
            yield Sampler(api, client, epoch).run(secrets.token_bytes(32))
            last = epoch


def build_network(settings: Settings, spec: "ChainSpec", api: "Client") -> "NetworkContext":
    """What screens need of the network, by the chain spec at hand."""
    from cli.context.network import NetworkContext

    network = NetworkContext(settings, api)
    network.spec = spec
    return network


def open_client(
    settings: Settings, spec: "ChainSpec", node: str | None, witnesses: list[str], trust: str | None
) -> tuple["LightClient", list["Client"]]:
    """A light client over the node named, and all nodes that were named."""
    from cli.context.client import Client
    from cli.context.network import find_url
    from cli.light.trusting import open_light_client

    apis = [Client(url) for url in (node or find_url(settings)[0], *witnesses)]
    return open_light_client(settings, spec, apis[0], apis[1:], trust), apis


def report(settings: Settings, spec: "ChainSpec", found: "Divergence", apis: list["Client"]) -> Exception:
    """Keeps both blocks, sends the evidence to all nodes, and says what is proven against whom."""
    from chain.light import list_double_signers, list_equivocations
    from chain.primitives.addresses import encode_address
    from cli.errors import CliError
    from cli.exits import ExitCode
    from cli.light.evidence import keep, submit
    from cli.terminal import output

    file = keep(settings.home / "light", found)
    evidence = list_equivocations(found.ours, found.theirs)
    for who in list_double_signers(found.ours, found.theirs):
        output.say(f"signed both: {encode_address(spec.prefix, who)}")
    told = "they signed in different rounds, which two messages cannot prove to be an offence"
    if evidence:
        accepted = submit(spec, evidence, apis)
        against, taken = format_count(len(evidence), "validator"), format_count(accepted, "report")
        told = f"evidence against {against} was sent; nodes took {taken}"
    hint = f"trust nothing until people know which is right; both blocks are in {file}"
    return CliError("divergence", f"{found}; {told}", hint, ExitCode.DIVERGENCE)
