"""File input and output: atomic writes, size limits, identity by content."""
