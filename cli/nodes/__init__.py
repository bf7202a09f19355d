"""Nodes on this machine: their folders and their processes."""
