"""The faults that the exchange plays on request: the script, and each place where one strikes."""
