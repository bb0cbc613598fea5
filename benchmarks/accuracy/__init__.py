"""Accuracy against truth, on real GPS: `make accuracy`."""
