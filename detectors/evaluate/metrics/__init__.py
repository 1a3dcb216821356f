"""Metrics of detections against labels."""
