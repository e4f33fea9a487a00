"""A decision: its whole input as stored, and the orders and verdicts that follow from it. No effects."""
