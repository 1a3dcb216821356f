"""Trained networks as files that load without running anyone's code."""
