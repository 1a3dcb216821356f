"""Detectors that say something of every pixel: semantic segmentation and keypoints."""
