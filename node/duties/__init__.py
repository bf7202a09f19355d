"""What this node owes the chain and brings there by itself: proofs, settlements, evidence, beacon links."""
