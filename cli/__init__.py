"""The `vidya` command: one file per group; results go to stdout, remarks to stderr; no chain logic."""
