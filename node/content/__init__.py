"""Content on this node: published, served against vouchers, and downloaded."""
