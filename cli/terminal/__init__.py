"""What a person types and reads: options, amounts, tables."""
