"""The code of docs/scale.md that reads a lake with Spark SQL, run as it stands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from kit import lakes

from recorder.lake import read

pytestmark = pytest.mark.process

PAGE = Path(__file__).parents[2] / "docs/scale.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_spark_sql_reads_the_versions_that_the_pointer_names(sample: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Java is not installed")
    url = str(tmp_path / "lake")
    lakes.write(sample / "recorder.duckdb", url)
    with closing(read.connect(url)) as connection:
        lakes.append(url, "latency", lakes.table(connection, "latency"))  # beyond the pointer
        wanted = connection.sql(
            "SELECT feed, symbol, count(*), max(recv_ns) FROM latency GROUP BY ALL"
        ).fetchall()
    code = "".join(block for block in BLOCKS if "import json" in block or "pyspark" in block)
    code = f"TABLES = {url!r}\n{code}".replace("prices", "latency")
    code = code.replace("max(recv_time)", "count(*), max(recv_ns)")
    code += "\nimport json as _json\nprint('ROWS ' + _json.dumps([list(r) for r in newest]))\n"
    code += "spark.stop()\n"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    [told] = [line for line in done.stdout.splitlines() if line.startswith("ROWS ")]
    found = [tuple(row) for row in json.loads(told.removeprefix("ROWS "))]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)
    assert len(found) > 3
