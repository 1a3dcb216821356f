"""Galleries: the embedder's vectors of every SKU, in immutable versions, and recognition with them."""
