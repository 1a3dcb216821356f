"""What the pages that are written share: their base template and their look."""
