"""The wire format: records, the protocols that they belong to, requests and answers."""
