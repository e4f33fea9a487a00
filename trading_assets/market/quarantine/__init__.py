"""What can be wrong with bars: the rules in one table, and how each looks at rows. Nothing is stored here."""
