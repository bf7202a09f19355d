"""Sessions: paying for downloaded bytes with vouchers: a few transactions for any number of chunks.

A member opens a *download session* for a datum: a deposit allotted over up to 32 of its hosts, at the
current price. For each 256 KiB chunk the member signs the host a *voucher* with the cumulative bytes and
amount; only the highest one counts. A host settles its highest voucher once per epoch. Vouchers are signed
by a key that is made for the session, so that the account's key stays in the wallet.

A session that was closed or has expired ends one era later, or as soon as every host has *released* its
allotment: it has settled its last voucher and claims nothing more. Then the rest of the deposit returns. Only
the host can say so, by its account or by the key of its peer id: the payer would say it at once.

Of a settled amount the host gets 70 %, the fund of lockers 10 %; the rest, with rounding, is burned.
`rewards` may match the amounts burned per host and epoch.

Settling is a duty: it pays no fee and any account may send it. Its number is bounded by its price: a
settlement adds at least `settle_min`, of which a part is burned. Releasing is a duty too, once per allotment,
and its weight was paid by the opening; the last voucher that is settled with it may be smaller.

Invariants: a host is paid from its own allotment only; the pot holds all allotments less the settled amounts.
Not here: surge prices, freeleech, hit-and-run deposits; settled bytes are not compared with the host's
capacity, which nothing measures yet.

Files: types, vouchers (pure), queries, calls, hooks (endings, genesis, invariants).
"""

from chain.modules.sessions.calls import (
    RELEASES_MAX,
    CloseSession,
    HostAllotment,
    OpenSession,
    Release,
    Settle,
)
from chain.modules.sessions.hooks import (
    GenesisConfig,
    build_genesis,
    check_invariants,
    on_block_start,
    take_burned,
)
from chain.modules.sessions.queries import (
    get_allotment,
    get_burned,
    get_next_session_id,
    get_parameters,
    get_session,
    get_traffic,
    is_due,
    is_running,
    list_allotments,
    list_releasable,
)
from chain.modules.sessions.types import ALLOTMENTS, MODULE, TRAFFIC, Parameters, Settled
from chain.modules.sessions.vouchers import (
    SignedVoucher,
    Voucher,
    compute_price,
    is_voucher_signed,
    sign_voucher,
)
