"""Parts that package kinds are built from: sheets, rings, film, wrapped labels."""
