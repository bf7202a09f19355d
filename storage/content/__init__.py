"""Hosted data on disk: building trees over folders, keeping verified chunks, serving and exporting them."""
