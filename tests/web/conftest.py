"""The interface that the tests of this directory attack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from interface import Interface, interface


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interface]:
    home = tmp_path_factory.mktemp("web") / "dagster_home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with interface(home) as web:
            yield web
