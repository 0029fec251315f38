"""An event recorder and time-series store for crypto WebSocket feeds."""

__version__ = "0.1.0"
