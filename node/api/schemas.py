"""The forms of answers, for the OpenAPI document; every answer is checked against these.

`Json` stands for a record of the chain by the names of its fields (docs/spec/api.md). Amounts are integers in
base units; heights, nonces and times in milliseconds are integers too. Hashes and encodings are hex, accounts
bech32m.
"""

from typing import Any

from typing_extensions import TypedDict

Json = dict[str, Any]


class Failure(TypedDict):
    """Why something was refused: a fixed code, and a message for people."""

    code: str
    message: str


class ErrorText(Failure):
    """As `Failure`, with a hint what to do."""

    hint: str


class ErrorAnswer(TypedDict):
    """The body of every error."""

    error: ErrorText


class Status(TypedDict):
    """The node and its head."""

    chain_id: str
    name: str
    prefix: str
    symbol: str
    decimals: int
    height: int
    head: str
    head_time_ms: int
    state_root: str
    epoch: int
    era: int
    syncing: bool
    sync_target: int
    peers: int
    pooled: int
    account: str | None
    is_validator: bool
    signing: str
    signing_reason: str
    version: str
    loop_lag_ms: int
    chunks_damaged: int
    pledge_per_gib: int


class Blocks(TypedDict):
    """Headers, newest first."""

    height: int
    blocks: list[Json]


class Block(TypedDict):
    """A final block; `transactions` is a page of them, each with its receipt."""

    header: Json
    size_bytes: int
    certificate: Json | None
    inherents: Json
    events_start: list[Json]
    events_end: list[Json]
    transaction_count: int
    transactions: list[Json]


class EncodedHeaders(TypedDict):
    """Canonical encodings, newest first."""

    headers: list[str]


class LightBlock(TypedDict):
    """Canonical encodings, for verification; the roster is that which decided the height."""

    height: int
    hash: str
    header: str
    certificate: str | None
    roster: str | None


class TransactionStatus(TypedDict):
    """Where a transaction is: unknown, pooled, final, expired or rejected."""

    id: str
    status: str
    height: int | None
    index: int | None
    transaction: Json | None
    receipt: Json | None
    error: Failure | None


class Submitted(TypedDict):
    """One of a batch: pooled, final or rejected."""

    id: str
    status: str
    error: Failure | None


class SubmittedBatch(TypedDict):
    """In the order of the request."""

    results: list[Submitted]


class DryRun(TypedDict):
    """What a transaction would do now: `ok`, `refused` (a call fails, the fee is kept) or `invalid`."""

    outcome: str
    height: int
    size_bytes: int
    weight: int
    base_fee: int
    fee: int
    fee_max_suggested: int
    balance: int
    error: Json | None
    events: list[Json]


class Fees(TypedDict):
    """The fee market."""

    base_fee: int
    parameters: Json


class ProofEntry(TypedDict):
    """A state key, its value (null: absent), and the proof under the state root."""

    name: str
    key: str
    value: str | None
    proof: str


class Proven(TypedDict):
    """The header carries the state root; header, certificate and proofs are canonical encodings."""

    height: int
    header: str
    certificate: str | None
    roster: str | None
    entries: list[ProofEntry]


class Delegation(TypedDict):
    """What an account has delegated, at its worth now; `waiting` joins at the end of the era."""

    host: str
    amount: int
    waiting: int


class Account(TypedDict):
    """An account; one that was never used has zeros."""

    address: str
    height: int
    nonce: int
    nonce_next: int
    balance: int
    withheld: int
    bond: Json
    delegations: list[Delegation]
    delegated_to: int
    membership: Json | None
    standing: Json
    traffic: Json
    session_next: str
    proof: Proven | None


class Validators(TypedDict):
    """The set that decides `height`, and a page of those who stand for election."""

    height: int
    total_power: int
    validators: list[Json]
    candidates: list[Json]
    next: str | None


class Hosts(TypedDict):
    """A page of hosts."""

    hosts: list[Json]
    next: str | None


class Host(TypedDict):
    """A host, how it did, what is asked of it now, and a page of what it holds."""

    address: str
    host: Json
    effective: Json
    standing: Json
    possession: Json
    era: Json | None
    duties: list[Json]
    holdings: list[Json]
    next: str | None


class Pay(TypedDict):
    """What the running epoch pays an account, by pool, with all factors; and what is withheld from it."""

    address: str
    height: int
    epoch: int
    last_block: int
    hosting: Json | None
    upload: Json | None
    validator: Json | None
    proven_eras: int
    withheld_ppm: int
    withheld: int
    grants: list[Json]


class Forecasts(TypedDict):
    """A page of the catalogue with what a GiB of each datum would bring in an era, as things are."""

    epoch: int
    era: int
    proven_eras: int
    withheld_ppm: int
    released_until_era: int
    pledge_per_gib: int
    forecasts: list[Json]
    next: str | None


class Owing(TypedDict):
    """Hosts that owe a proof in the epoch, ascending, in pages."""

    epoch: int
    hosts: list[str]
    next: str | None


class Shown(TypedDict):
    """The transaction by which a host has shown its leaves, and its proof under the extrinsics root."""

    height: int
    transaction: str
    proof: str


class Datums(TypedDict):
    """A page of the catalogue; may be empty before its end when a filter is used."""

    datums: list[Json]
    next: str | None


class Datum(TypedDict):
    """An entry of the catalogue and who holds it now."""

    id: str
    is_admitted: bool
    required: int
    datum: Json
    sponsorships: list[Json]
    hosts: list[Json]


class Cases(TypedDict):
    """A page of open cases; `seat` is the place in the jury of the account that was asked about. `opened`
    counts all cases ever.
    """

    height: int
    epoch: int
    opened: int
    cases: list[Json]
    next: str | None


class Case(TypedDict):
    """An open case, its jury, and the sponsors of the datum."""

    height: int
    epoch: int
    case: Json
    seats: list[Json]
    sponsors: list[Json]


class Juror(TypedDict):
    """The bond of a juror, and the first era in which it can be drawn."""

    address: str
    height: int
    era: int
    juror: Json | None
    drawn_from: int | None


class Session(TypedDict):
    """An open session and its allotments; `is_running` is no once it is closed or expired."""

    id: str
    session: Json
    is_running: bool
    allotments: list[Json]


class Supply(TypedDict):
    """The supply and its parts, why they were minted and burned, and what the pots of modules hold."""

    genesis: int
    minted: int
    minted_by: dict[str, int]
    burned: int
    burned_by: dict[str, int]
    total: int
    pots: dict[str, int]


class Lockers(TypedDict):
    """All locks together and their fund, in base units; `era` is that of the next block."""

    height: int
    era: int
    locked: int
    weight: int
    fund: int
    payable: int
    accrued: int


class Locks(TypedDict):
    """The open locks of an account, by number."""

    address: str
    height: int
    era: int
    locks: list[Json]


class Peers(TypedDict):
    """Connections, bans, and why peers are not used."""

    peer_id: str
    addresses: list[str]
    peers: list[Json]
    bans: list[Json]
    reasons: list[Json]


class Health(TypedDict):
    """Whether the node is alive, or ready; why not."""

    ok: bool
    reason: str


class Published(TypedDict):
    """A folder that this node hosts from now on."""

    datum: str
    files_hash: str
    root: str
    size_bytes: int
    files: int


class LocalContent(TypedDict):
    """The datums in this node's store."""

    quota_bytes: int
    used_bytes: int
    datums: list[Json]


class Download(TypedDict):
    """A download of this node: running, complete or failed."""

    job: str
    session: str
    datum: str
    state: str
    failure: str
    bytes_total: int
    bytes_held: int
    bytes_per_second: int
    paid: int
    hosts: list[Json]
    unsold_chunks: int
    unsold_seconds: int


class CheckedChunks(TypedDict):
    """What reading some chunks of a datum has found."""

    checked: int
    unreadable: list[int]
    reason: str


class Dropped(TypedDict):
    """A datum that was removed from this node's store."""

    datum: str
