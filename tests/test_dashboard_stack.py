"""The stack of compose.yaml, as far as it can be checked where its images cannot be run: its parts fit each other."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import jsonschema
import pytest
import yaml

from dashboard_kit import BOARDS, DASHBOARDS, ROOT, load
from examples.gateway.clients import ENDING, HANGING
from examples.gateway.model_server.behaviours import BEHAVIOURS
from turnscope.phases import PHASE

COMPOSE: dict[str, Any] = yaml.safe_load((DASHBOARDS / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SOURCES = {
    source["uid"]: source
    for source in yaml.safe_load((DASHBOARDS / "grafana/provisioning/datasources/stack.yaml").read_text("utf-8"))[
        "datasources"
    ]
}
ADDRESS = re.compile(r"(?:http://)?\b([a-z]+):(\d{4,5})\b")
OPEN_PORTS = {
    "gateway": {9464},
    "collector": {4317, 4318},
    "prometheus": {9090},
    "tempo": {3200, 4317},
    "jaeger": {4317, 16686},
    "loki": {3100},
    "grafana": {3000},
}
"""What each service listens on, for the others."""


def config(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DASHBOARDS / path).read_text("utf-8"))
    return loaded


def strings(value: Any) -> list[str]:
    """Return every string in a document."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_it_follows_the_compose_specification() -> None:
    schema = json.loads((ROOT / "tests/data/schemas/compose-spec.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema)

    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert list(validator.iter_errors({**COMPOSE, "services": {"gateway": {"imige": "x"}}})) != []


@pytest.mark.parametrize(
    "path",
    [
        "collector/config.yaml",
        "prometheus/prometheus.yml",
        "grafana/provisioning/datasources/stack.yaml",
        "jaeger/config.yaml",
        "tempo/tempo.yaml",
    ],
)
def test_addresses_are_those_of_services_that_listen_there(path: str) -> None:
    found = [match for text in strings(config(path)) for match in ADDRESS.findall(text)]
    unknown = [(host, port) for host, port in found if int(port) not in OPEN_PORTS.get(host, set())]

    assert unknown == []


def test_the_gateway_sends_to_the_collector_and_is_scraped_where_it_listens() -> None:
    environment = SERVICES["gateway"]["environment"]
    scraped = config("prometheus/prometheus.yml")["scrape_configs"][0]

    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
    assert scraped["static_configs"] == [{"targets": [f"gateway:{environment['OTEL_EXPORTER_PROMETHEUS_PORT']}"]}]
    assert environment["OTEL_EXPORTER_PROMETHEUS_HOST"] == "0.0.0.0"
    assert scraped["job_name"] == environment["OTEL_SERVICE_NAME"]


@pytest.mark.parametrize("path", ["collector/config.yaml", "jaeger/config.yaml"])
def test_pipelines_name_what_is_configured(path: str) -> None:
    parts = config(path)
    service = parts["service"]
    for pipeline in service["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= parts[kind].keys()
    assert set(service.get("extensions", [])) <= parts.get("extensions", {}).keys()


def test_files_that_are_mounted_exist() -> None:
    mounted = [volume.split(":") for service in SERVICES.values() for volume in service.get("volumes", [])]
    folders = {inside: DASHBOARDS / outside for outside, inside, *_ in mounted if outside.startswith(".")}
    named = [argument for service in SERVICES.values() for argument in strings(service.get("command", []))]
    asked = [match for text in named for match in re.findall(r"config\.?\w*=(/\S+)", text)]

    assert [str(folder) for folder in folders.values() if not folder.is_dir()] == []
    for path in asked:
        folder, _, name = path.rpartition("/")
        assert (folders[folder] / name).is_file(), path
    assert len(asked) == 4
    assert [outside for outside, *_ in mounted if outside[0] != "." and outside not in COMPOSE["volumes"]] == []


def test_what_is_open_to_the_host_is_open_to_the_host_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_images_have_a_version() -> None:
    images = {service["image"] for service in SERVICES.values() if "build" not in service}

    assert [image for image in images if not re.search(r":v?\d+\.\d+\.\d+$", image)] == []


def test_the_image_of_the_gateway_asks_for_what_there_is() -> None:
    dockerfile = (DASHBOARDS / "gateway.Dockerfile").read_text("utf-8")
    copied = [word for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE) for word in line.split()[:-1]]
    project = (ROOT / "pyproject.toml").read_text("utf-8")

    assert [name for name in copied if not (ROOT / name).exists()] == []
    for extra in re.findall(r'"\.\[(\w+)\]"', dockerfile):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
    assert re.search(r"^gateway = \[", project, re.MULTILINE)
    assert (ROOT / SERVICES["gateway"]["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", ["gateway", "model", "clients"])
def test_commands_of_the_example_exist_with_their_options(name: str) -> None:
    words = shlex.split(SERVICES[name]["command"])
    module = ROOT / words[2].replace(".", "/")
    source = module.with_suffix(".py") if module.with_suffix(".py").exists() else module / "__main__.py"
    known = re.findall(r'add_argument\("(--\w+)"', source.read_text("utf-8"))

    assert words[:2] == ["python", "-m"]
    assert [word for word in words if word.startswith("--") and word not in known] == []


def test_the_gateway_of_the_stack_has_budgets_for_phases_that_there_are() -> None:
    words = shlex.split(SERVICES["gateway"]["command"])
    budgets = json.loads(words[words.index("--budgets") + 1])

    assert [phase for phase in budgets if PHASE[phase].stuck_after_s is None] == []


def test_the_clients_make_turns_that_end_and_turns_that_do_not() -> None:
    steps = [step.strip().split()[0] for plan in (*ENDING, *HANGING) for step in plan.split(";")]

    assert [step for step in steps if step not in BEHAVIOURS] == []


def test_data_sources_lead_to_each_other() -> None:
    referred = [uid for source in SOURCES.values() for uid in _uids(source.get("jsonData", {}))]

    assert referred
    assert [uid for uid in referred if uid not in SOURCES] == []


def _uids(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [item for key, item in value.items() if key == "datasourceUid"]
        return own + [uid for item in value.values() for uid in _uids(item)]
    return [uid for item in value for uid in _uids(item)] if isinstance(value, list) else []


def test_grafana_finds_the_dashboards_and_a_data_source_of_each_kind() -> None:
    provider = config("grafana/provisioning/dashboards/turnscope.yaml")["providers"][0]
    wanted = {v["query"] for path in BOARDS for v in load(path)["templating"]["list"] if v["type"] == "datasource"}
    mounted = dict(volume.split(":")[1::-1] for volume in SERVICES["grafana"]["volumes"])

    assert mounted[provider["options"]["path"]] == "./grafana"
    assert wanted <= {source["type"] for source in SOURCES.values()}
