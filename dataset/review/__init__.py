"""Decisions of people on photographs: their table, and data sets made of it."""
