"""Packshots: products cut out of their background, their outlines, the angle they were taken at."""
