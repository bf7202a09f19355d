"""Jury duty: cases, votes that a juror's own key can open again, and what a verdict paid to whom."""
