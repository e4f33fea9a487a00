"""Sessions, clocks, bars and corporate actions: what the market is, before anyone decides."""
