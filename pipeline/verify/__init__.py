"""Proof of a data set."""
