"""What is in deploy/: the units verify, the image's steps and commands are ones that exist."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import click
import pytest

from recorder.cli import cli
from recorder.errors import ConfigError, CredentialsError
from recorder.supervision.supervise import FINAL

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd/recorder.service"


def parses(arguments: list[str]) -> None:
    """Check that the command line knows this command and its options."""
    name, *options = arguments
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, name
    command.make_context(name, options)


def settings_of(unit: Path) -> dict[str, list[str]]:
    """The `Key=value` lines of a unit."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text("utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


# -- systemd


def test_systemd_finds_nothing_wrong_with_the_unit_and_its_keys(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    text = UNIT.read_text("utf-8").replace("/opt/recorder/bin/recorder", sys.executable)
    (tmp_path / UNIT.name).write_text(text)
    shutil.copytree(UNIT.with_name("recorder.service.d"), tmp_path / "recorder.service.d")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / UNIT.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    about_it = [line for line in done.stderr.splitlines() if "recorder" in line]
    assert (done.returncode, about_it) == (0, [])


def test_systemd_calls_the_unit_s_exposure_low(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    text = UNIT.read_text("utf-8").replace("/opt/recorder/bin/recorder", sys.executable)
    (tmp_path / UNIT.name).write_text(text)
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20"]
    done = subprocess.run(
        [*command, "--json=short", str(tmp_path / UNIT.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge a unit that is not installed")
    exposed = [one["name"] for one in json.loads(done.stdout) if float(one["exposure"] or 0) >= 0.3]
    network = ["PrivateNetwork=", "RestrictAddressFamilies=~AF_(INET|INET6)"]
    assert (done.returncode, sorted(exposed)) == (0, network)


def test_the_unit_runs_a_command_that_exists_and_tells_how_it_goes() -> None:
    found = settings_of(UNIT)
    program, *arguments = shlex.split(found["ExecStart"][0])
    assert program == "/opt/recorder/bin/recorder"
    parses(arguments)
    assert arguments[0] == "run"
    assert (found["Type"], found["NotifyAccess"]) == (["notify"], ["main"])
    assert found["WatchdogSec"] == ["60s"]
    assert f"/var/lib/{found['StateDirectory'][0]}" in arguments
    assert found["KillMode"] == ["mixed"]  # the children's end is the supervisor's business


def test_endings_that_a_restart_cannot_change_are_those_of_the_supervisor() -> None:
    [codes] = settings_of(UNIT)["RestartPreventExitStatus"]
    assert {int(code) for code in codes.split()} == set(FINAL)
    assert set(FINAL) == {ConfigError.exit_code, CredentialsError.exit_code}


def test_credentials_have_the_names_that_are_looked_for() -> None:
    from recorder.feeds import feed

    text = (UNIT.with_name("recorder.service.d") / "keys.conf").read_text("utf-8")
    names = re.findall(r"^#?LoadCredential=(\w+):", text, re.MULTILINE)
    assert len(names) >= 3
    for name in names:
        stem, _, kind = name.rpartition("_")
        assert kind in {"key", "token"}
        assert kind == "token" or feed(stem).key_help is not None


# -- the image


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    pairs = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(name, rest) for name, rest in pairs]


KNOWN = {"FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL"}
KNOWN |= {"HEALTHCHECK", "ENTRYPOINT", "CMD"}


def of(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


def test_the_dockerfile_has_instructions_that_exist_in_two_stages() -> None:
    assert {name for name, _ in instructions()} <= KNOWN
    assert of("FROM") == ["python:3.12-slim AS build", "python:3.12-slim"]
    assert of("USER") == ["10001:10001"]
    last_from = max(i for i, (name, _) in enumerate(instructions()) if name == "FROM")
    final = [name for name, _ in instructions()[last_from:]]
    assert final.index("USER") < final.index("CMD")


def test_the_image_s_commands_exist() -> None:
    assert json.loads(of("ENTRYPOINT")[0]) == ["tini", "--", "recorder"]
    parses(json.loads(of("CMD")[0]))
    _, _, health = of("HEALTHCHECK")[0].partition("CMD ")
    program, *arguments = json.loads(health)
    assert program == "recorder"
    parses(arguments)
    assert arguments[0] == "health"


def test_what_is_copied_into_the_image_is_there_and_is_sent_to_the_builder() -> None:
    patterns = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    ignored = [line for line in patterns if line and not line.startswith("#")]
    assert ignored[0] == "*"  # nothing is sent unless it is named
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = [rest for rest in of("COPY") if not rest.startswith("--from")]
    sources = {source for rest in copied for source in rest.split()[:-1]}
    assert {Path(source).parts[0] for source in sources} == let_through
    assert all((ROOT / source).exists() for source in sources)
    secrets = ["recorder.toml", "deploy/secrets/smartmoney_key", "data/raw", ".git"]
    assert all(not any(fnmatch(secret, one) for one in let_through) for secret in secrets)


def test_the_layer_of_dependencies_is_built_from_what_is_there_by_then(tmp_path: Path) -> None:
    """The package's metadata can be made from the few files that are copied first."""
    (tmp_path / "recorder").mkdir()
    (tmp_path / "queries").mkdir()
    dependencies = next(i for i, (_, rest) in enumerate(instructions()) if "pip install" in rest)
    first = [rest for name, rest in instructions()[:dependencies] if name == "COPY"]
    for name in [source for rest in first for source in rest.split()[:-1]]:
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "recorder/__init__.py").touch()
    (tmp_path / "queries/empty.sql").touch()
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]


def test_the_composition_runs_a_command_that_exists_and_shows_the_page_to_this_machine() -> None:
    yaml = pytest.importorskip("yaml", reason="no YAML reader on this machine")
    found = yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))["services"]["recorder"]
    parses(found["command"])
    assert (ROOT / "deploy" / found["build"]["context"]).resolve() == ROOT
    assert (ROOT / found["build"]["dockerfile"]).is_file()
    assert all(port.startswith("127.0.0.1:") for port in found["ports"])
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    targets = [volume.split(":")[1] for volume in found["volumes"]]
    assert "/data" in targets and "/run/secrets" in targets
