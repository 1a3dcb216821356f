"""What trained detectors find in pictures and videos."""
