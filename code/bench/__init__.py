"""Benchmarks of this repository against its peers, and the hostile programs that tests and benchmarks share."""
