"""Galleries: what every SKU looks like to an embedder, in immutable versions, and recognition by them."""
