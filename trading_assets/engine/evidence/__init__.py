"""What the broker says of orders, shares and cash, taken into the journal. Nothing is sent from here."""
