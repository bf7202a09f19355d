"""The verbs of `vidya`, one file a verb: each parses, calls, and prints."""
