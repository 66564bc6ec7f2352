"""What we are measured against: each a program of its own, run as ``python -m benchmarks.peers.NAME``."""
