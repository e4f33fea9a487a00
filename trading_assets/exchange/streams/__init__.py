"""The exchange's two websocket streams."""
