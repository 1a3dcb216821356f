"""The SKU list: read, checked whole, sorted by SKU, with its category ids."""
