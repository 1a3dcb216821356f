"""Backbones: the table of classic ones by name, the stages of any, and which detector takes which."""
