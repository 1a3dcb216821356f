"""Galleries built from a SKU list: rendered, embedded, versioned."""
