"""Looks at the catalogue and products made ahead."""
