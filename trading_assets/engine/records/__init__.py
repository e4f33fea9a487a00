"""What the journal tells afterwards: the history's rows, explanations, verification, a book's status."""
