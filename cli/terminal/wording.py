"""Headers and labels in words: what a field of the API is called on a screen."""

WORDS = {
    "address": "address",
    "addresses": "reached at",
    "api": "API",
    "bytes": "size",
    "bytes_downloaded": "downloaded",
    "bytes_held": "held",
    "bytes_served": "served",
    "bytes_total": "size",
    "bond": "bond",
    "commission_ppm": "commission",
    "chain_id": "network",
    "datum": "datum",
    "delegated_to": "delegated to it",
    "effective": "in effect",
    "ends_era": "locked until",
    "events_start": "events at the start",
    "events_end": "events at the end",
    "extrinsics_root": "root of the body",
    "fee_max": "fee at most",
    "from_epoch": "from epoch",
    "head_time_ms": "time of the head",
    "headers_downloaded": "headers fetched",
    "holdings": "hosts",
    "hosted_from_epoch": "hosted from",
    "id": "id",
    "is_admitted": "admitted",
    "listed_at": "listed",
    "loop_lag_ms": "loop lag",
    "misses_in_row": "missed in a row",
    "name": "name",
    "nonce_next": "next nonce",
    "pay_factor": "pay",
    "pledge_per_gib": "pledge per GiB",
    "peer_id": "peer",
    "price_max_per_gib": "price per GiB at most",
    "price_per_gib": "price per GiB",
    "quota_bytes": "quota",
    "session_next": "next session",
    "since_era": "since",
    "size_bytes": "size",
    "sync_target": "sync target",
    "time_ms": "time",
    "trusted_from": "trusted from height",
    "unlocks_in": "unlocks",
    "until_epoch": "until",
    "used_bytes": "used",
    "valid_until": "valid until",
    "voucher_key": "voucher key",
}
"""Field -> words, where they are not the field's own."""
_PLURALS = {"entry": "entries", "leaf": "leaves"}
_ENDINGS = ("_ms", "_bytes", "_ppm", "_ppb")


def get_words(field: str) -> str:
    """What a screen calls a field."""
    found = WORDS.get(field)
    if found is not None:
        return found
    name = field.removeprefix("is_")
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name.replace("_", " ")


def format_count(count: int, noun: str) -> str:
    """`1 node`, `4 nodes`, `2 entries`, `3 leaves`."""
    plural = _PLURALS.get(noun, f"{noun}s")
    return f"{count} {noun if count == 1 else plural}"
