"""Galleries and shops of products for tests."""
