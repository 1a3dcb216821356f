"""Strategies that break files of every kind."""
