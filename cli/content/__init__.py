"""What several verbs do with content."""
