"""The nouns: what the rest of the program talks about.  Frozen, no I/O."""
