"""`python -m trading_assets.exchange`: the embedded exchange, in this process.

Prints one line of JSON with its two origins once it takes connections. The control plane's token
comes from the environment.
"""

from __future__ import annotations

import argparse
import json
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path

from trading_assets import process_setup
from trading_assets.config import key_pair
from trading_assets.errors import TradingAssetsError
from trading_assets.exchange.credentials import control_token
from trading_assets.exchange.fill_modes import FillMode
from trading_assets.exchange.http.app import Urls, serve
from trading_assets.exchange.http.rate_limit import REQUESTS_PER_MINUTE
from trading_assets.exchange.opening import open_venue


def _amount(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    if not value.is_finite() or value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number of 0 or more")
    return value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trading_assets.exchange", description=__doc__)
    add = parser.add_argument
    add("--state-dir", type=Path, required=True, help="where its journal is kept; private to its user")
    add("--port", type=int, default=8765, help="of the Alpaca API; 0: any free one (8765)")
    add("--control-port", type=int, default=8766, help="of the control plane; 0: any free one (8766)")
    add("--start-ns", type=int, help="where the clock stands at the first start, UTC nanoseconds")
    add("--history", type=Path, help="the history whose imported bars it plays (the bundled bars)")
    add("--cash", type=_amount, default=Decimal(100_000), help="of the account at the first start (100000)")
    add("--seed", type=int, default=7, help="of ids and derived minute bars at the first start (7)")
    add("--spread-bps", type=_amount, default=Decimal(2), help="width of the quotes in basis points (2)")
    add("--requests-per-minute", type=int, default=REQUESTS_PER_MINUTE, help="before 429 (200)")
    add("--fill-mode", choices=list(FillMode), default=FillMode.IDEAL, help="at the first start (ideal)")
    add("--participation", type=_amount, default=Decimal("0.1"), help="of a bar's volume, at the first start")
    add("--speed", type=float, help="virtual seconds a real second from the start (the clock stands)")
    add("--not-fractionable", nargs="*", default=[], metavar="SYMBOL", help="symbols in whole shares only")
    add("--public-keys", action="store_true", help="take the public key pair: for tests and examples")
    return parser.parse_args()


def _print_ready(urls: Urls) -> None:
    sys.stdout.write(json.dumps(urls._asdict()) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Raises TradingAssetsError for settings that cannot be used."""
    process_setup.begin()
    arguments = _arguments()
    token = control_token()
    venue = open_venue(
        arguments.state_dir,
        start_ns=arguments.start_ns,
        cash=arguments.cash,
        seed=arguments.seed,
        spread_bps=arguments.spread_bps,
        not_fractionable=arguments.not_fractionable,
        fill_mode=arguments.fill_mode,
        participation=arguments.participation,
        history=arguments.history,
    )
    serve(
        venue,
        token=token,
        keys=key_pair(arguments.state_dir, public=arguments.public_keys),
        port=arguments.port,
        control_port=arguments.control_port,
        requests_per_minute=arguments.requests_per_minute,
        speed=arguments.speed,
        ready=_print_ready,
    )


if __name__ == "__main__":
    try:
        main()
    except (TradingAssetsError, OSError) as error:
        sys.exit(f"error: {error}")
