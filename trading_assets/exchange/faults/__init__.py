"""The faults that the exchange plays on request: the script, and the places where faults strike."""
