"""Secrets of a person or a node: derived from words, kept in encrypted files."""
