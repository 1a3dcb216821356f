"""Trained detectors as files for other programs."""
