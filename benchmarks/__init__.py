"""Benchmarks: ratios between systems that do the same work in the same run."""
