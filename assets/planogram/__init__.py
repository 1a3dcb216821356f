"""Planograms: what stands where on the shelves of a shop, read, checked, made up and expanded into single units."""
