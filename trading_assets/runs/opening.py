"""What is done to the Dagster instance before its webserver and daemon start (`trading_assets.up`).

`python -m trading_assets.runs.opening` creates its tables in one process: two that create them at once can
both fail. Runs that a crash left are not ended here but by Dagster's run monitoring, which asks the launcher
whether their process lives (`dagster_instance.launcher`).
"""

from __future__ import annotations

import dagster as dg


def main() -> None:
    with dg.DagsterInstance.get():
        pass


if __name__ == "__main__":
    main()
