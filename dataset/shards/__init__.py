"""Sharded data sets: images and labels in tar files with COCO parts and an index."""
