"""Building blocks of package kinds: texture sheets, rings, film, wrapped labels."""
