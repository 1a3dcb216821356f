"""Embeddings of product crops: pictures of one SKU lie close to each other, whichever SKUs there are."""
