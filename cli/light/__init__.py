"""The chain without a node of one's own: trust in headers, proofs of values, evidence of forks, samples."""
