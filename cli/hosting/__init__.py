"""Becoming a validator-host and ceasing to be one, step by step; each step only if it is not done."""
