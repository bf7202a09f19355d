"""What hosted data is: a tree of hashes over its bytes and a manifest of its files; pure.

`tree` is what the chain judges possession by; `manifest` is what those who store and fetch agree on.
Other packages import these names from here.
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
