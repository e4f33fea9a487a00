"""When a book was last protected, by the journal: what says whether protection is due, and overdue.

Every protection that went through to its end leaves the mark, a tick's and a reconciliation's alike. Whoever
sees to it that protection takes place reads it here: the sensor `protection`, the watchdog beside Dagster.
"""

from __future__ import annotations

from trading_assets.store.journal import Journal

PROTECTED_MARK = "protected_ns"
OVERDUE_NS = 180 * 10**9
"""Older than this the last protection is too old: somebody else protects, and people are told."""
RETRY_NS = 15 * 10**9


def note_protected(journal: Journal, book: str, *, now_ns: int) -> None:
    """Protection of the book ended now. now_ns: of the machine's wall clock, not of the venue's, whose
    time may stand."""
    journal.set_mark(book, PROTECTED_MARK, str(now_ns), now_ns)


def protected_ago_ns(journal: Journal, book: str, *, now_ns: int) -> int | None:
    """Nanoseconds since the book was last protected; None when it never was, as far as can be known.

    now_ns: of the machine's wall clock. A mark of its future tells nothing, since the clock was set back
            meanwhile: None, so that a wrong clock never makes protection wait.
    """
    marked = journal.mark(book, PROTECTED_MARK)
    if marked is None or int(marked) > now_ns:
        return None
    return now_ns - int(marked)


def is_due(
    now_ns: int, *, interval_ns: int, ago_ns: int | None, requested_ns: int | None, unmet: int
) -> bool:
    """Whether protection is to be requested now.

    ago_ns:       since the last protection, None: unknown
    requested_ns: when it was last requested, None: never
    unmet:        how many requests have come since the last protection and led to none; they are
                  repeated after 15, 30, 60 … seconds, at most after the interval
    """
    if ago_ns is not None and ago_ns < interval_ns:
        return False
    if not unmet or requested_ns is None or requested_ns > now_ns:
        return True
    patience_ns = min(RETRY_NS << min(unmet - 1, 10), interval_ns)
    return now_ns - requested_ns >= patience_ns
