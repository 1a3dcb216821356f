"""Folders on any storage that fsspec knows."""
