"""Render run: makes the scenes of a COCO data set."""
