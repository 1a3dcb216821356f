"""Evaluation reports as web pages."""
