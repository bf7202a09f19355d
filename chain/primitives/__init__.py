"""Types, codec, hashing, keys, addresses and integer arithmetic; imports nothing else of this project."""
