"""Routes, a file per subject; each has a `router` that `node.api.app` includes."""
