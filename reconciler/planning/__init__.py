"""Deciding what would change.  Pure: same inputs, same plan, byte for byte."""
