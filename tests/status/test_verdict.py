"""One verdict: status, health, alerts, doctor and Prometheus' rules say the same of every scene."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from recorder.alerts.condition import Judge
from recorder.alerts.evaluator import Evaluator
from recorder.alerts.rule import rules_of
from recorder.clock import NS, Clock
from recorder.settings.alerts import RuleSettings
from recorder.status import CRITICAL, Status, alert_rules, doctor
from recorder.status.conditions import CONDITIONS
from recorder.status.metrics import text

from .scenes import FEED, SCENES, Scene, World

RULES = Path(__file__).parents[2] / "deploy/prometheus/alerts.yml"

#: Which conditions each of the doctor's checks is about.
DOCTORS = {
    "disk": {"disk_full", "disk_filling"},
    "clock": {"clock_unsynchronised"},
    "journals": {"journals_unsealed"},
}


@dataclass(frozen=True)
class Answers:
    """What everybody says of one scene."""

    status: Status
    health: Status
    alerts: set[str]
    bad: set[str]
    """The doctor's checks that are bad."""
    metrics: str


class Pager:
    """The evaluator of alerts with one rule on everything, and a separate clock."""

    def __init__(self, judge: Judge) -> None:
        self._now = 0
        clock = Clock(lambda: self._now, lambda: self._now)
        rules = rules_of({"any": RuleSettings(health=["all"], at_most="1000/s")}, {}, judge)
        self._evaluator = Evaluator(rules, judge, print, clock=clock)

    def look(self, status: Status, seconds: float) -> set[str]:
        """Look once, this much later; the conditions of the alerts that fire."""
        self._now += int(seconds * NS)
        alerts = self._evaluator.health(status)
        return {alert.condition or "" for alert in alerts if alert.state == "fired"}


def answers_to(scene: Scene, root: Path, judge: Judge) -> Answers:
    """Let a scene happen, and ask everybody."""
    world = World(root)
    scene.before(world)
    try:
        pager = Pager(judge)
        assert pager.look(world.look(), 1) <= scene.conditions  # before anything is wrong
        scene.happen(world)
        status = world.look()
        fired = pager.look(status, 5) | pager.look(status, 31)
        checks = doctor.examine(world.config, clock=world.clock, space=world.space, sync=world.sync)
        bad = {check.name for check in checks if check.ok is False and check.name in DOCTORS}
        return Answers(status, world.look(history=False), fired, bad, text(status))
    finally:
        world.end()


Ask = Callable[[Scene], Answers]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Everybody's answers to a scene, asked once for all tests."""
    root = tmp_path_factory.mktemp("scenes")
    with closing(Judge()) as judge:
        yield cache(lambda scene: answers_to(scene, root / scene.name, judge))


def held(status: Status) -> set[str]:
    return {problem.condition for problem in status.problems}


def by_name(scene: Scene) -> str:
    return scene.name


@pytest.mark.parametrize("scene", SCENES, ids=by_name)
class TestEverybodySaysTheSame:
    def test_status(self, ask: Ask, scene: Scene) -> None:
        status = ask(scene).status
        assert held(status) == scene.conditions, status.problems
        critical = {name for name in scene.conditions if CONDITIONS[name].severity == CRITICAL}
        assert status.healthy is not bool(critical)

    def test_health_but_for_what_it_does_not_read(self, ask: Ask, scene: Scene) -> None:
        status, health = ask(scene).status, ask(scene).health
        read = [p for p in status.problems if not CONDITIONS[p.condition].history]
        assert [(p.condition, p.where) for p in health.problems] == [
            (p.condition, p.where) for p in read
        ]

    def test_alerts(self, ask: Ask, scene: Scene) -> None:
        assert ask(scene).alerts == scene.conditions

    def test_doctor_where_it_asks_the_same(self, ask: Ask, scene: Scene) -> None:
        expected = {check for check, names in DOCTORS.items() if names & scene.conditions}
        assert ask(scene).bad == expected

    def test_the_rules_of_prometheus(self, ask: Ask, scene: Scene) -> None:
        """Each rule's expression is one comparison: evaluated here on the metrics' text."""
        assert {
            name
            for name, condition in CONDITIONS.items()
            if evaluated(condition.expression, ask(scene).metrics)
        } == scene.conditions


def evaluated(expression: str, metrics: str) -> bool:
    """Evaluate `name{label="value"} > 0`."""
    selector, _, bound = expression.rpartition(" > ")
    return any(
        sample.value > float(bound)
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if any(selector == f'{sample.name}{{{k}="{v}"}}' for k, v in sample.labels.items())
    )


def test_there_is_a_scene_for_every_condition() -> None:
    assert set().union(*(scene.conditions for scene in SCENES)) == set(CONDITIONS)


def test_a_problem_has_the_words_of_the_table(ask: Ask) -> None:
    for scene in SCENES:
        for problem in ask(scene).status.problems:
            condition = CONDITIONS[problem.condition]
            assert problem.severity == condition.severity
            own = problem.condition in {"feed_silent", "line_away"}  # the feed's, the line's limit
            assert own or problem.threshold == condition.threshold
            assert bool(problem.feed) is condition.of_feed
            assert problem.what and problem.where and problem.next


# -- Prometheus' own program as a witness


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (it is in Debian's package prometheus)")
    return found


@pytest.mark.process
def test_prometheus_takes_the_rules(promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "rules", RULES], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(CONDITIONS) + 1} rules found" in done.stdout


@pytest.mark.process
def test_prometheus_fires_what_the_verdict_says(promtool: str, ask: Ask, tmp_path: Path) -> None:
    unknown = {"name": "no status", "input_series": series(text(None))}
    groups = [unknown | {"interval": "10s", "alert_rule_test": list(expected(set(), down=True))}]
    for scene in SCENES:
        held = {(p.condition, p.feed) for p in ask(scene).status.problems}
        groups.append(
            {
                "name": scene.name,
                "interval": "10s",
                "input_series": series(ask(scene).metrics),
                "alert_rule_test": list(expected(held)),
            }
        )
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "tests": groups}))
    done = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


SCRAPED = {"instance": "host:8787", "job": "recorder"}


def series(metrics: str) -> list[dict[str, str]]:
    """The samples of a text as series that stay for ten minutes."""
    samples = [s for family in text_string_to_metric_families(metrics) for s in family.samples]
    told = [(s.name, s.labels, s.value) for s in samples] + [("up", {}, 1.0)]
    return [
        {
            "series": name + "{" + ",".join(map(label, sorted((labels | SCRAPED).items()))) + "}",
            "values": f"{value!r}+0x60",
        }
        for name, labels, value in told
    ]


def label(item: tuple[str, str]) -> str:
    return f"{item[0]}={json.dumps(item[1])}"


def expected(held: set[tuple[str, str]], *, down: bool = False) -> Iterator[dict[str, object]]:
    """What each rule must say while it holds, and once it held long enough."""
    summary = "host:8787: no metrics, so nothing is known of the recorder"
    action = "Look whether `recorder serve` runs; `recorder status` works without it."
    alert = {
        "exp_labels": SCRAPED | {"severity": CRITICAL},
        "exp_annotations": {"summary": summary, "action": action},
    }
    yield {"eval_time": "5m", "alertname": "RecorderDown", "exp_alerts": [alert] if down else []}
    for condition in CONDITIONS.values():
        alerts = [
            {
                "exp_labels": SCRAPED
                | {"severity": condition.severity, "condition": condition.name}
                | ({"feed": feed} if feed else {}),
                "exp_annotations": {
                    "summary": alert_rules.summary_of(condition)
                    .replace("{{ $labels.instance }}", "host:8787")
                    .replace("{{ $labels.feed }}", feed),
                    "action": alert_rules.action_of(condition),
                },
            }
            for name, feed in sorted(held)
            if name == condition.name
        ]
        name = alert_rules.name_of(condition)
        soon = [] if condition.hold else alerts
        yield {"eval_time": "20s", "alertname": name, "exp_alerts": soon}
        yield {"eval_time": "5m", "alertname": name, "exp_alerts": alerts}


# -- what a table of scenes does not show


def test_a_gap_that_another_line_may_still_have_covered_is_no_problem_yet(tmp_path: Path) -> None:
    world = World(tmp_path)
    try:
        world.claim(FEED)
        world.open("A")
        world.open("B")
        world.live(20)
        world.close("A")
        world.wait(1)
        world.open("A")
        world.wait(5)
        world.note(world.lines["A"], "A", heard_ns=world.now)
        assert world.look().problems == ()
        world.live(10)
        assert held(world.look()) == {"gap_covered"}
        world.live(610)
        assert world.look().problems == ()
    finally:
        world.end()


def test_a_line_that_has_just_closed_is_a_gap_and_no_loss(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.begin()
    try:
        world.close("A")
        world.wait(10)
        assert held(world.look()) == {"gap_uncovered"}
        world.wait(25)
        assert held(world.look()) == {"feed_away"}
    finally:
        world.end()
