"""Worker processes: bounded, replaced when they die, stopped when they hang."""
