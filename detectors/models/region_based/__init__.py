"""Detectors that classify regions of an image: proposals first, then one answer for each."""
