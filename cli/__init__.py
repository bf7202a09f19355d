"""The `vidya` command: one file per group; data goes to stdout, talk to stderr; no logic of its own."""
