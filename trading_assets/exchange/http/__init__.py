"""The exchange over HTTP: Alpaca's two APIs, the control plane, and who may ask."""
