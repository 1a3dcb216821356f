"""Sharded data sets: pictures and labels in tar files with COCO parts and an index."""
