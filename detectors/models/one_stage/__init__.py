"""Detectors that find products in one pass over a grid of places."""
