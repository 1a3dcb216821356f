"""Embedding of product crops: crops of the same SKU are close together, also for SKUs not seen in training."""
