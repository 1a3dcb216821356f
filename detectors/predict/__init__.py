"""Inference of trained detectors on images and videos."""
