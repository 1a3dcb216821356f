"""Folders on disks and object storages."""
