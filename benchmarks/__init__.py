"""Measurements of whole processes against the emulator on a socket: ``python -m benchmarks``."""
