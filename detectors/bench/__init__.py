"""The comparison of detectors: one training of each under one budget, judged and timed alike, on one page."""
