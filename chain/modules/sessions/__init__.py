"""Sessions: paying for downloaded bytes with vouchers, a few transactions for any number of chunks.

A member opens a *download session* for a datum: a deposit allotted over up to 32 of its hosts, at the price
of that moment. For each 256 KiB chunk he signs a host a *voucher* with the cumulative bytes and amount; the
highest one wins. A host settles his best voucher once per epoch, or after the session was closed; what
nobody claimed returns. Vouchers are signed by a key that is made for the session, so that the account's key
stays in the wallet.

Of what is settled the host gets 70 %, 10 % go to the fee pool, the rest is burned (rounding included). The
burned amounts per host and epoch are what `rewards` may match.

Settling is a duty: it pays no fee and anybody may send it. What bounds it is money: a settlement adds at
least `settle_min`, of which a part is burned, but for one remainder per host, whose weight the opening
paid.

Invariants: a host's claim is backed by its own allotment alone; the pot holds all allotments less what is
settled. Not here: surge prices, freeleech, hit-and-run deposits; a host's settled bytes are not held
against its capacity, which nothing measures yet.

Files: types, vouchers (pure), queries, calls, hooks (endings; genesis, invariants).
"""

from chain.modules.sessions.calls import CloseSession, HostAllotment, OpenSession, Settle
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
)
from chain.modules.sessions.types import ALLOTMENTS, MODULE, TRAFFIC, Parameters, Settled
from chain.modules.sessions.vouchers import (
    SignedVoucher,
    Voucher,
    compute_price,
    is_voucher_signed,
    sign_voucher,
)
