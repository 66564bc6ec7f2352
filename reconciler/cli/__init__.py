"""The commands: one module each.  The only folder that knows click, and the only one that prints."""
