"""Work with planogram files: checking, drawing, making up and converting them."""
