"""What a person does to the book: kill, flatten, rearm, adopt."""
