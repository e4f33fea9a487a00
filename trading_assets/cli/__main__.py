"""`python -m trading_assets.cli`: the same as `trading-assets`."""

from trading_assets.cli.application import main

if __name__ == "__main__":
    main()
