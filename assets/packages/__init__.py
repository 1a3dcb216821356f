"""Packages made from sizes and packshots."""
