"""The example notebook runs from its first to its last cell on the sample record."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples/first_look.py"


def test_the_notebook_answers_its_questions(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("marimo")
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.setenv("RECORDER_DATA_DIR", str(sample))
    spec = importlib.util.spec_from_file_location("first_look", NOTEBOOK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the notebook's own dependencies
        spec.loader.exec_module(module)
        outputs, definitions = module.app.run()
    definitions["database"].close()
    assert len(outputs) >= 10
    assert {row["feed"] for row in definitions["coverage"].to_pylist()} == {
        "cryptolisting",
        "smartmoney",
    }
    for name in ("latency", "events", "liquidations", "funding", "spread"):
        assert definitions[name].num_rows > 0, name
    assert definitions["frame"].to_pylist()[0]["text"].startswith("{")
