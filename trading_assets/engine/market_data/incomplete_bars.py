"""When bars are incomplete, and when so many are that nothing is entered on. Live and replay both ask here.

A symbol's bars are incomplete at a tick when a session of the features' look-back has no daily bar, or when
no minute bar ended for more than MAX_GAP_MINUTES since the open. Such a symbol is not entered on; its exits
go on.
"""

from __future__ import annotations

from trading_assets.core.tolerance import at_most

MAX_GAP_MINUTES = 15


def vetoes_all(incomplete: int, symbols: int, max_share: float) -> bool:
    """Whether so many of the symbols are incomplete that the feed is to be doubted: more than `max_share` of
    them, and more than one where any is allowed at all. One alone says nothing of the others."""
    if incomplete <= 1 and max_share > 0.0:
        return False
    return not at_most(float(incomplete), max_share * symbols)
