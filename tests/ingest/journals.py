"""The old name of `tests/kit/journals.py`, for tests that are not converted yet."""

from kit.journals import Writer, eventful, seal_all

__all__ = ["Writer", "eventful", "seal_all"]
