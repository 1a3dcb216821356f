"""Backdrops of scenes: environment lights, background photographs, surfaces."""
