"""From a command line to a final transaction."""
