"""Duties of this node: proofs, settlements, evidence, beacon links, sent without the operator."""
