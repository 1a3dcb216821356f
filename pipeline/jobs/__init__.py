"""Catalogue-scale rendering jobs."""
