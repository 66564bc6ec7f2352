"""Config-as-code for AI evaluations."""

__version__ = "0.1.0"
