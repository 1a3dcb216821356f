"""Lenses, shutters and colour filters, as functions of arrays that know nothing of scenes."""
