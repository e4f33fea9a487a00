"""The one hierarchy of errors. Every message names what was wrong, where, and what to do about it.

An error that belongs to one part (a broker's answer, a locked store) is defined beside that part and
derives from `TradingAssetsError`; here is only the root and what several layers raise.
"""

from __future__ import annotations


class TradingAssetsError(Exception):
    """Root of every error that this package raises on purpose."""


class InvalidInput(TradingAssetsError):
    """Something from outside (a file, a signal, a bar, an argument) cannot be used as it is.

    what:   what is wrong, with the offending value
    where:  file and key, row, or argument
    remedy: what the person should do
    """

    def __init__(self, what: str, *, where: str, remedy: str) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.remedy}"


def of_the_system(error: OSError) -> str:
    """What a person reads of an error of the operating system."""
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}. Look for a full disk or missing permissions, then try again"
