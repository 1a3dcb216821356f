"""The SKU list: reading, checking and sorting it, and its category ids."""
