"""Checkpoint files, which load without running code from the file."""
