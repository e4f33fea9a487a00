"""Identifiers that are the same in every run: hashes of a seed and a counter, in the form of a UUID."""

from __future__ import annotations

from hashlib import blake2b
from uuid import UUID


def seeded_uuid(*parts: object) -> str:
    """The UUID text of `parts`: 16 bytes of BLAKE2b over them, joined by "|", stamped version 4."""
    digest = blake2b("|".join(map(str, parts)).encode(), digest_size=16).digest()
    return str(UUID(bytes=digest, version=4))


def asset_id(symbol: str) -> str:
    """An asset's id, made from its symbol alone, so that it is the same at every exchange."""
    return seeded_uuid("asset", symbol)
