"""Sessions, clocks, bars and corporate actions: facts about the market. Nothing is decided here."""
