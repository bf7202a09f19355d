"""The light client: trust in headers, proofs of values, evidence of forks, samples of proofs."""
