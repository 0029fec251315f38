"""The version of the recorder."""

__version__ = "0.1.0"
