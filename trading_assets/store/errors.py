"""Errors of both stores. An error of one store only is defined beside that store."""

from __future__ import annotations

import os

from trading_assets.errors import TradingAssetsError


class SchemaTooNew(TradingAssetsError):
    """The file was written by a later release."""

    def __init__(self, where: str, version: int, known: int) -> None:
        self.where, self.version, self.known = where, version, known
        super().__init__(where, version, known)

    def __str__(self) -> str:
        return (
            f"{self.where} has schema version {self.version}, this release knows up to {self.known}. "
            "Run the release that wrote it, or a later one; nothing was changed."
        )


class StoreUnusable(TradingAssetsError):
    """The operating system refuses to read or write the file, mostly because the disk is full."""

    def __init__(self, where: str, why: str) -> None:
        self.where, self.why = where, why
        super().__init__(where, why)

    def __str__(self) -> str:
        return (
            f"{self.where}: {self.why}. Look for a full disk, a limit on file sizes or missing permissions; "
            "then do it again: a transaction is stored whole or not at all, and what was stored before stays."
        )


class CrossedFork(TradingAssetsError):
    """A child process uses a store that its parent had open when it forked."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(where)

    def __str__(self) -> str:
        return (
            f"{self.where} was open when process {os.getpid()} was forked; a connection must not cross "
            "a fork. Open the store in the child, or fork when it is closed."
        )
