"""Whole-process benchmarks in ratios: ``python -m benchmarks``."""
