"""Content on this node: served to those who pay, published, and downloaded."""
