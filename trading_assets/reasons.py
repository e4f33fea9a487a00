"""The reason that a person gives for an act: free text, kept with the act, of a length that people read.

What lets more happen than before needs one, and refuses one that is too long. What stops something takes it
as far as it goes: a kill must not fail of its words.
"""

from __future__ import annotations

from trading_assets.errors import InvalidInput
from trading_assets.redaction import clean

LONGEST = 2_000  # characters


def stated(act: str, reason: str) -> str:
    """The reason as it is kept. Raises InvalidInput without one, and for one that is too long."""
    if not reason.strip():
        raise InvalidInput("it needs a reason", where=act, remedy="Say why: --reason.")
    if len(reason) > LONGEST:
        raise InvalidInput(
            f"its reason has {len(reason):,} characters",
            where=act,
            remedy=f"Say it in {LONGEST:,}, and keep the rest where the reason can name it.",
        )
    return _kept(reason)


def shortened(reason: str) -> str:
    r"""The reason as it is kept, cut where it is too long.

    >>> shortened("line \udcff")
    'line \\udcff'
    """
    return _kept(reason if len(reason) <= LONGEST else f"{reason[: LONGEST - 1]}…")


def _kept(reason: str) -> str:
    """Without what no file takes, a command line's bytes that are no text, and without a secret of this
    process: it is stored, logged and sent as an alert."""
    return clean(reason.encode(errors="backslashreplace").decode())
