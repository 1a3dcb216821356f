"""Explanations of one image: feature maps, what filters respond to, and the steps from places to detections."""
