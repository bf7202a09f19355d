"""Hosted data: a tree of hashes over its bytes, and a manifest of its files.

The chain checks possession proofs by `tree`; nodes that store and fetch content agree on its `manifest`.
"""

from chain.content.manifest import (
    FILES_MAX,
    MANIFEST_BYTES_MAX,
    FileEntry,
    InvalidManifest,
    Manifest,
    build_manifest,
    check_manifest,
    check_paths,
    compute_datum_id,
    compute_files_hash,
    compute_listed_id,
    decode_manifest,
)
from chain.content.tree import (
    CHUNK_BYTES,
    CHUNK_LEAVES,
    DATUM_BYTES_MAX,
    LEAF_BYTES,
    ChunkProof,
    LeafProof,
    check_chunk,
    check_leaf,
    compute_chunk_count,
    compute_chunk_size,
    compute_content_root,
    compute_leaf_count,
    compute_leaf_size,
)
