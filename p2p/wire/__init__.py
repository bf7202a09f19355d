"""What peers say to each other: records, the protocols they belong to, and how one is asked and answered."""
