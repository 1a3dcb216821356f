"""Detectors that ask a set of queries for the objects of an image, through the optional package transformers."""
