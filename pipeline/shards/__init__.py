"""Sharded data sets packed, unpacked, merged and counted."""
