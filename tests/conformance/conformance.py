"""`make conformance`: the exchange against Alpaca's own documents and its client for Node; its control plane
against generated requests.

What this needs lives in environments of its own under var/conformance, at the versions that stand here;
none of it is a dependency of the project. The documents come from the wheel of Alpaca's own server for
model tools and are not kept in the repository.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests
from control_plane import described

from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.exchange.faults.script import FaultScript
from trading_assets.exchange.http.control import ControlApi
from trading_assets.exchange.http.pace import ClockPace
from trading_assets.exchange.process import start_process
from trading_assets.exchange.store import EventStore
from trading_assets.exchange.venue import Venue, VenueSettings
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions

HERE = Path(__file__).parent
PLACE = HERE.parents[1] / "var" / "conformance"
DOCUMENTS = ("alpaca-mcp-server==2.4.0", "alpaca_mcp_server/specs")
SCHEMATHESIS = ("schemathesis==4.32.5", "pytest==9.1.1")
NPM_CLIENT = "@alpacahq/alpaca-trade-api@3.1.3"
SESSION = date(2012, 7, 2)
TOKEN = "conformance"
PARTS = ("Alpaca's documents", "the control plane", "Alpaca's client for Node")


def main() -> int:
    """Prepare what is missing, run each part against an exchange of its own; 0 when all conform."""
    PLACE.mkdir(parents=True, exist_ok=True)
    commands = dict(zip(PARTS, (_schemathesis("against_specification.py"), _control(), _node()), strict=True))
    failed = [name for name, command in commands.items() if not _conforms(name, command)]
    print("the exchange conforms" if not failed else f"does not conform to: {', '.join(failed)}")
    return bool(failed)


def _schemathesis(module: str) -> list[str]:
    python = PLACE / "schemathesis" / "bin" / "python"
    if not python.exists():
        venv.create(PLACE / "schemathesis", with_pip=True)
        _done([str(python), "-m", "pip", "install", "--quiet", *SCHEMATHESIS])
    if not (PLACE / "documents").exists():
        wheel, inside = DOCUMENTS
        fetched = PLACE / "wheel"
        _done(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(fetched), wheel]
        )
        with zipfile.ZipFile(next(fetched.glob("*.whl"))) as archive:
            archive.extractall(fetched)
        (fetched / inside).rename(PLACE / "documents")
    options = ["-q", "-rP", "--no-header", "--noconftest", "-p", "no:cacheprovider", "-c", os.devnull]
    return [str(python), "-m", "pytest", *options, str(HERE / module)]


def _control() -> list[str]:
    """The control plane is described here, by its own routes, and asked there."""
    script = FaultScript()
    venue = Venue(
        BundledTape(7), Sessions(), EventStore(None), VenueSettings(Sessions().open_ns(SESSION), Decimal(1))
    )
    command = _schemathesis("against_control_plane.py")
    described_routes = described(ControlApi(venue, ClockPace(venue), script, TOKEN, {}).routes())
    (PLACE / "documents" / "control.json").write_text(json.dumps(described_routes))
    return command


def _node() -> list[str]:
    place = PLACE / "node"
    if not (place / "node_modules").exists():
        place.mkdir(exist_ok=True)
        (place / "package.json").write_text('{"private": true}')
        _done(["npm", "install", "--silent", "--no-audit", "--no-fund", NPM_CLIENT], cwd=place)
    shutil.copy(HERE / "npm_client.js", place)
    return ["node", str(place / "npm_client.js")]


def _done(command: list[str], cwd: Path | None = None) -> None:
    try:
        subprocess.run(command, check=True, cwd=cwd)
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not installed: Debian's packages are nodejs and npm")


def _conforms(name: str, command: list[str]) -> bool:
    print(f"== {name}", flush=True)
    shutil.rmtree(PLACE / "state", ignore_errors=True)
    sessions = Sessions()
    opened = sessions.open_ns(SESSION)
    with start_process(
        public_keys=True,
        state_dir=PLACE / "state",
        token=TOKEN,
        start_ns=opened + 3_600 * 10**9,
        cash=Decimal(1_000_000),
        requests_per_minute=10_000_000,
    ) as exchange:
        environment = os.environ | {
            "EXCHANGE_URL": exchange.url,
            "EXCHANGE_CONTROL_URL": exchange.control_url,
            "EXCHANGE_TOKEN": TOKEN,
            "EXCHANGE_KEY": KEY_ID,
            "EXCHANGE_SECRET": SECRET,
            "EXCHANGE_DOCUMENTS": str(PLACE / "documents"),
            "EXCHANGE_KNOWN": json.dumps(_known(exchange.url)),
            "PYTHONPATH": str(HERE),
        }
        return subprocess.run(command, env=environment, cwd=HERE).returncode == 0


def _known(url: str) -> dict[str, list[Any]]:
    """Things that exist, by the documents' names of parameters. The orders are sent here."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update({"APCA-API-KEY-ID": KEY_ID, "APCA-API-SECRET-KEY": SECRET})

        def sent(number: int, symbol: str, limit: str) -> str:
            order = {
                "symbol": symbol, "qty": "10", "side": "buy", "type": "limit", "time_in_force": "gtc",
                "limit_price": limit, "client_order_id": f"known-{number}",
            }  # fmt: skip
            answer = session.post(f"{url}/v2/orders", json=order, timeout=10)
            answer.raise_for_status()
            return str(answer.json()["id"])

        filled = [sent(number, symbol, "1000") for number, symbol in enumerate(("AAPL", "IBM", "MSFT"))]
        resting = [sent(number, "GOOG", "100") for number in range(10, 40)]
    symbols, span = ["AAPL", "IBM", "MSFT"], ["2012-06-25", "2012-06-28T14:30:00Z"]
    return {
        "symbol": symbols,
        "symbols": ["AAPL", "AAPL,IBM"],
        "symbol_or_asset_id": symbols,
        "order_id": resting + filled,
        "client_order_id": ["known-1", "known-10", "known-39"],
        "activity_type": ["FILL", "DIV"],
        "timeframe": ["1Min", "5Min", "1Day"],
        "start": span[:1],
        "end": span[1:],
        "after": span[:1],
        "until": span[1:],
        "page_token": [""],
        "feed": ["iex"],
        "qty": ["1", "2"],
        "limit_price": ["12.34", "100"],
        "side": ["buy", "sell"],
        "type": ["limit"],
        "time_in_force": ["day", "gtc"],
        "order_class": ["simple"],
    }


if __name__ == "__main__":
    sys.exit(main())
