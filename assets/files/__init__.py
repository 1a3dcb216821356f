"""Files read and written: whole or not at all, within limits, known by what they hold."""
