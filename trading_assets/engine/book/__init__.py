"""A book: its place on disk, its clock, the journal's halts, locks and arming, its ledger, its alerts."""
