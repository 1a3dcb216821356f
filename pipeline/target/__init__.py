"""Fitting of a recipe's ranges to photographs without labels."""
