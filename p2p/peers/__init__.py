"""Whom to connect to, and what is known of those who are."""
