"""A person's own files of bars: which shape they have, what their stamps and columns say, or why not."""
