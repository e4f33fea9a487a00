"""The account held against the journal: positions, breaks, equity and the losses that halt."""
