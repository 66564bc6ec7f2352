"""Telling: plans, outcomes, verdicts, drift and mistakes as text, JSON, Markdown and the formats of CI systems."""
