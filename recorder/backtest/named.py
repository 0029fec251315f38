"""Strategies by name: `listing`, `fade`, `module:object` or `file.py:object`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from recorder.backtest.examples import BuyListings, fade_cascades
from recorder.backtest.orders import Strategy
from recorder.errors import StrategyError, UsageError, did_you_mean

#: The example strategies.
EXAMPLES: Mapping[str, Callable[[], Strategy]] = {"listing": BuyListings, "fade": fade_cascades}

_HINT = "name it module:object or file.py:object, or use an example: " + ", ".join(EXAMPLES)


def strategy(name: str) -> Strategy:
    """Return the strategy of this name.

    A class, or a function without positional parameters, is called to make the strategy. Modules
    are searched in the current directory first.

    Raises:
        UsageError: there is no such example, file, module or object, or it is not a strategy.
        StrategyError: the strategy's code failed while it was loaded.
    """
    if name in EXAMPLES:
        return EXAMPLES[name]()
    place, colon, wanted = name.rpartition(":")
    if not colon or not place or not wanted:
        near = did_you_mean(name, EXAMPLES) if name.isidentifier() else ""
        hint = "\n  ".join(filter(None, (near, _HINT)))
        raise UsageError(f"there is no strategy '{name}'", hint=hint)
    module = _file(Path(place)) if place.endswith(".py") else _module(place)
    candidate = getattr(module, wanted, None)
    if candidate is None:
        names = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise UsageError(f"has no '{wanted}'", where=place, hint=did_you_mean(wanted, names))
    return _made(candidate, name)


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError("there is no such file", where=str(path), hint=_HINT)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look up their module there
    load = spec.loader.exec_module
    _guarded(lambda: load(module), str(path))
    return module


def _module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        module: ModuleType = _guarded(lambda: importlib.import_module(name), name)
        return module
    except ModuleNotFoundError as error:
        hint = f"searched {Path.cwd()} and the installed packages; or name file.py:object"
        raise UsageError(f"there is no module '{error.name}'", where=name, hint=hint) from None
    finally:
        sys.path.pop(0)


def _guarded(load: Callable[[], Any], where: str) -> Any:
    """Return the result of `load`, which runs the user's code.

    Raises:
        ModuleNotFoundError: the module `where` itself is missing.
        StrategyError: the user's code raised an error.
    """
    try:
        return load()
    except ModuleNotFoundError as error:
        if error.name == where or where.startswith(f"{error.name}."):
            raise
        raise _failed(error, where) from error
    except Exception as error:
        raise _failed(error, where) from error


def _failed(error: Exception, where: str) -> StrategyError:
    what = f"{type(error).__name__}: {error}"
    hint = "its traceback: recorder --debug backtest …"
    return StrategyError(f"the strategy cannot be loaded: {what}", where=where, hint=hint)


def _made(candidate: Any, name: str) -> Strategy:
    if inspect.isclass(candidate) or (inspect.isfunction(candidate) and not _positional(candidate)):
        candidate = _guarded(candidate, name)
    if not callable(getattr(candidate, "on_event", candidate)):
        hint = "a strategy is a function (event, as_of) -> orders, or has on_event(event, as_of)"
        raise UsageError("not a strategy", where=name, hint=hint)
    made: Strategy = candidate
    return made


def _positional(function: Callable[..., Any]) -> int:
    """Return the number of positional parameters of a function."""
    kinds = {
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    }
    return sum(p.kind in kinds for p in inspect.signature(function).parameters.values())
