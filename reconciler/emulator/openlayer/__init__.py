"""Openlayer's REST API as of 2026-11: the official documentation and SDK 0.36.0, or the older third-party spec.

What neither says is chosen so that a careless client is caught: ``name`` filters match substrings, pages are
clamped, unknown keys are refused, unordered lists come back sorted, and what was not sent comes back filled in.
"""
