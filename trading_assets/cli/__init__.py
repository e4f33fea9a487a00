"""The command line `trading-assets`. A command parses, calls the engine, says what came of it, and exits.

Commands are grouped in files by who types them; here are only the application and its exit status.
Nothing is decided here.
"""

from trading_assets.cli.application import main

__all__ = ["main"]
