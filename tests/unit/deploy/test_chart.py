"""The chart: rendered by Helm, valid for Kubernetes, and in accord with the worker."""

import json
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import (
    CHART,
    RELEASE,
    Resource,
    environment,
    helm,
    only,
    pods,
    refused_by_restricted,
    refused_custom_resources,
    rendered,
)
from cluster import cluster
from deployment import DEPLOY, check_settings, instructions, parse, tool

from schemas.topics import INPUTS, topics
from streams.settings import Settings
from streams.topics import changelog
from streams.worker import REBALANCE_TIMEOUT_S

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="of the group dev: `make test` installs it")

VERSIONS = ("1.29", "1.32", kubernetes_validate.latest_version())
CUSTOM = {"ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PrometheusRule", "KafkaTopic"}

LEAST: Resource = {"kafka": {"bootstrapServers": "kafka:9092"}, "model": {"claim": "models"}}
SECURED: Resource = {
    "bootstrapServers": "kafka-1:9093,kafka-2:9093",
    "securityProtocol": "SASL_SSL",
    "sasl": {"secret": "nextact-kafka"},
    "tls": {"caSecret": "shop-cluster-ca-cert", "clientSecret": "nextact"},
}
ALL: Resource = {
    "kafka": SECURED,
    "model": {"image": "models/shop:7"},
    "topicPrefix": "shop.",
    "partitions": 6,
    "topics": {"by": "strimzi", "strimzi": {"cluster": "shop", "namespace": "kafka"}},
    "autoscaling": {"enabled": True, "maxReplicas": 50},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "runbooks": "https://git.example.com/shop/runbooks",
    },
    "compiled": {"storage": "256Mi", "storageClass": "fast"},
    "networkPolicy": {"kafkaTo": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kafka"}}}]},
    "podLabels": {"team": "shop"},
    "podAnnotations": {"note": "x"},
    "nodeSelector": {"disk": "any"},
    "tolerations": [{"key": "shop", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "priorityClassName": "high",
    "image": {"digest": "sha256:" + 64 * "a", "pullSecrets": [{"name": "registry"}]},
}
CASES = {"least": LEAST, "all": ALL, "secured": LEAST | {"kafka": SECURED}, "bare": LEAST | {"topics": {"by": "none"}}}


@pytest.fixture(scope="module", params=CASES)
def resources(request: pytest.FixtureRequest) -> list[Resource]:
    return rendered(CASES[request.param])


def merged(values: Resource, path: str, value: object) -> Resource:
    """Values with another one at a place such as `kafka.sasl.secret`."""
    made: Resource = deepcopy(values)
    *folders, name = path.split(".")
    place = made
    for folder in folders:
        place = place.setdefault(folder, {})
    place[name] = value
    return made


def settings_of(container: Resource) -> Settings:
    """What nextact reads from a container's variables; files that they name are mounted."""
    variables = environment(container)
    files = {name: value for name, value in variables.items() if value.startswith("/etc/nextact")}
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {value.rpartition("/")[0] for value in files.values()} <= mounted
    return check_settings({name: value for name, value in variables.items() if name not in files})


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_helm_lint_finds_nothing(values: Resource) -> None:
    done = helm("lint", str(CHART), "--strict", values=values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout
    assert "[ERROR]" not in done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_resources_are_valid_for_kubernetes(resources: list[Resource], version: str) -> None:
    ours = [resource for resource in resources if resource["kind"] not in CUSTOM]
    assert len(ours) >= 5
    for resource in ours:
        kubernetes_validate.validate(resource, version, strict=True)


def test_pods_are_what_the_standard_restricted_asks_for(resources: list[Resource]) -> None:
    for pod in pods(resources):
        assert refused_by_restricted(pod) == []
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_variables_and_commands_are_those_of_nextact(resources: list[Resource]) -> None:
    for pod in pods(resources):
        for container in pod["spec"]["containers"]:
            assert parse(container["args"])
            settings_of(container)


def test_secrets_are_named_and_never_held(resources: list[Resource]) -> None:
    assert not [resource for resource in resources if resource["kind"] == "Secret"]
    for pod in pods(resources):
        for container in pod["spec"]["containers"]:
            for variable in container["env"]:
                if "PASSWORD" in variable["name"] or "USERNAME" in variable["name"]:
                    assert set(variable["valueFrom"]) == {"secretKeyRef"}


def test_worker_has_what_its_image_expects(resources: list[Resource]) -> None:
    worker = only(resources, "StatefulSet")["spec"]["template"]["spec"]
    [container] = worker["containers"]
    image = dict(instructions())
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert "/var/cache/nextact" in image["VOLUME"]
    assert not mounts["/var/cache/nextact"].get("readOnly")
    assert environment(container)["NEXTACT_MODEL"] in mounts
    user = worker["securityContext"]
    assert f"{user['runAsUser']}:{user['runAsGroup']}" == image["USER"]
    [port] = container["ports"]
    assert (str(port["containerPort"]), port["containerPort"]) == (image["EXPOSE"], Settings().metrics_port)
    for probe, path in (("startupProbe", "/live"), ("livenessProbe", "/live"), ("readinessProbe", "/ready")):
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}


def test_worker_has_longer_to_stop_than_its_longest_chunk(resources: list[Resource]) -> None:
    worker = only(resources, "StatefulSet")["spec"]["template"]["spec"]
    assert worker["terminationGracePeriodSeconds"] > REBALANCE_TIMEOUT_S + 15


def test_names_in_the_group_are_those_of_the_pods_unless_told_otherwise() -> None:
    def instance(values: Resource) -> list[Any]:
        [container] = only(rendered(values), "StatefulSet")["spec"]["template"]["spec"]["containers"]
        return [each["valueFrom"] for each in container["env"] if each["name"] == "NEXTACT_INSTANCE"]

    assert instance(LEAST) == [{"fieldRef": {"fieldPath": "metadata.name"}}]
    assert instance(LEAST | {"staticMembership": False}) == []


def test_what_selects_pods_selects_the_workers(resources: list[Resource]) -> None:
    labels = only(resources, "StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
    for selector in (
        only(resources, "StatefulSet")["spec"]["selector"]["matchLabels"],
        only(resources, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        only(resources, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        only(resources, "Service")["spec"]["selector"],
    ):
        assert selector.items() <= labels
    for job in (resource for resource in resources if resource["kind"] == "Job"):
        selector = only(resources, "Service")["spec"]["selector"]
        assert not selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_network_lets_out_to_the_brokers_and_in_to_the_metrics(resources: list[Resource]) -> None:
    policy = only(resources, "NetworkPolicy")["spec"]
    [container] = only(resources, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    wanted = {int(server.rpartition(":")[2]) for server in environment(container)["KAFKA_BOOTSTRAP_SERVERS"].split(",")}
    names, brokers = policy["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert {port["port"] for port in brokers["ports"]} == wanted
    [(allowed, ports)] = [(rule["from"], rule["ports"]) for rule in policy["ingress"]]
    assert allowed
    assert [port["port"] for port in ports] == [container["ports"][0]["name"]]


def test_prometheus_operator_finds_the_service() -> None:
    made = rendered(ALL)
    monitor, service = only(made, "ServiceMonitor"), only(made, "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [end["port"] for end in monitor["spec"]["endpoints"]] == [port["name"] for port in service["spec"]["ports"]]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_custom_resources_are_what_keda_and_the_prometheus_operator_accept() -> None:
    made = [resource for resource in rendered(ALL) if resource["kind"] in CUSTOM - {"KafkaTopic"}]
    assert {resource["kind"] for resource in made} == CUSTOM - {"KafkaTopic"}
    assert refused_custom_resources(made) == []
    wrong = deepcopy(made)
    only(wrong, "ScaledObject")["spec"]["maxReplicaCount"] = "six"
    only(wrong, "ServiceMonitor")["spec"].pop("selector")
    only(wrong, "PrometheusRule")["spec"]["groups"][0]["rules"][0].pop("expr")
    assert len(refused_custom_resources(wrong)) == 3


def test_rules_are_those_of_the_files_with_runbooks_where_the_values_say() -> None:
    groups = only(rendered(ALL), "PrometheusRule")["spec"]["groups"]
    wanted = [
        group
        for file in sorted((DEPLOY / "prometheus/rules").glob("*.yaml"))
        for group in yaml.safe_load(file.read_text())["groups"]
    ]
    for rule in (rule for group in wanted for rule in group["rules"] if "alert" in rule):
        page = rule["annotations"]["runbook_url"].rpartition("/")[2]
        rule["annotations"]["runbook_url"] = f"https://git.example.com/shop/runbooks/{page}"
    assert groups == wanted
    assert len(groups) > 4


def test_promtool_accepts_the_rules_of_the_chart(tmp_path: Path) -> None:
    promtool = tool("promtool") or pytest.skip(
        "promtool is not here: apt-get install --no-install-recommends prometheus"
    )
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": only(rendered(ALL), "PrometheusRule")["spec"]["groups"]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_scaling_follows_the_lag_of_each_input_and_stops_at_the_partitions() -> None:
    made = rendered(ALL)
    scaled, workers = only(made, "ScaledObject")["spec"], only(made, "StatefulSet")
    assert "replicas" not in workers["spec"]  # an upgrade would undo what was scaled
    assert scaled["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": RELEASE}
    assert workers["metadata"]["name"] == RELEASE
    assert 1 <= scaled["minReplicaCount"] <= scaled["maxReplicaCount"] == ALL["partitions"]
    settings = settings_of(workers["spec"]["template"]["spec"]["containers"][0])
    for trigger, topic in zip(scaled["triggers"], INPUTS, strict=True):
        metadata = trigger["metadata"]
        assert metadata["topic"] == settings.topic_prefix + topic
        assert metadata["consumerGroup"] == settings.topic_prefix + settings.group
        assert metadata["bootstrapServers"].split(",") == settings.servers
        assert (metadata["sasl"], metadata["tls"]) == ("scram_sha512", "enable")
        assert all(isinstance(value, str) for value in metadata.values())
        assert trigger["authenticationRef"]["name"] == only(made, "TriggerAuthentication")["metadata"]["name"]
    parameters = {
        each["parameter"]: each["name"] for each in only(made, "TriggerAuthentication")["spec"]["secretTargetRef"]
    }
    assert set(parameters) == {"username", "password", "ca", "cert", "key"}


@pytest.mark.parametrize(
    ("mechanism", "theirs"),
    [("PLAIN", "plaintext"), ("SCRAM-SHA-256", "scram_sha256"), ("SCRAM-SHA-512", "scram_sha512")],
)
def test_keda_has_its_own_words_for_the_ways_in(mechanism: str, theirs: str) -> None:
    made = rendered(merged(ALL, "kafka.sasl.mechanism", mechanism))
    assert {trigger["metadata"]["sasl"] for trigger in only(made, "ScaledObject")["spec"]["triggers"]} == {theirs}


def test_strimzi_is_asked_for_the_topics_that_the_worker_needs() -> None:
    found = {}
    for resource in rendered(ALL):
        if resource["kind"] == "KafkaTopic":
            spec = resource["spec"]
            config = {name: str(value) for name, value in spec["config"].items()}
            found[spec["topicName"]] = (spec["partitions"], spec["replicas"], config)
            assert resource["metadata"]["labels"]["strimzi.io/cluster"] == "shop"
            assert resource["metadata"]["namespace"] == "kafka"
            assert resource["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    settings = Settings(topic_prefix="shop.", partitions=6)
    wanted = [*topics("shop.", 6).values(), changelog(settings)]
    created = {"message.timestamp.type": "CreateTime"}
    assert found == {topic.name: (topic.partitions, 3, topic.config | created) for topic in wanted}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("partitions", 6, ""),
        ("group", "nextact-2", ""),  # its changelog is another topic
        ("topics.strimzi.namespace", "elsewhere", ""),
        ("partitions", 8, "shop.churn-risk has 6 partitions, and 8 are asked for: partitions stays as it is"),
        ("partitions", 4, "shop.churn-risk has 6 partitions, and 4 are asked for: partitions stays as it is"),
        ("topicPrefix", "v2.", "shop.churn-risk is there, and v2.churn-risk is asked for in its place: topicPrefix"),
    ],
)
def test_topics_of_strimzi_that_are_there_are_never_made_others(path: str, value: object, said: str) -> None:
    with cluster(rendered(ALL), RELEASE, "shop") as address:
        asked = ("--dry-run=server", "--kube-apiserver", address, "--disable-openapi-validation")
        done = helm("template", RELEASE, str(CHART), "--namespace", "shop", *asked, values=merged(ALL, path, value))
    assert (done.returncode != 0, said in done.stderr) == (bool(said), True), done.stderr


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("kafka.bootstrapServers", "", "set kafka.bootstrapServers"),
        ("kafka.bootstrapServers", "kafka", "bootstrapServers"),
        ("kafka.securityProtocol", "SASL_SSL", "kafka.sasl.secret"),
        ("kafka.sasl.password", "hunter2", "password"),
        ("model.claim", "", "one of model.claim and model.image"),
        ("model.image", "models/shop:7", "one of model.claim and model.image"),
        ("replicas", 9, "replicas is 9, and no more than the 8 partitions can work"),
        ("autoscaling.minReplicas", 0, "minReplicas"),
        ("autoscaling.minReplicas", 9, "autoscaling.minReplicas is more"),
        ("topics.by", "strimzi", "topics.strimzi.cluster"),
        ("terminationGracePeriodSeconds", 10, "terminationGracePeriodSeconds"),
        ("settings.NEXTACT_PARTITIONS", "4", "NEXTACT_PARTITIONS"),
        ("settings.LOG", "4", "LOG"),
        ("prometheusRule.runbooks", "", "runbooks"),
        ("replica", 3, "replica"),
    ],
)
def test_mistakes_are_refused(path: str, value: object, said: str) -> None:
    done = helm("template", RELEASE, str(CHART), values=merged(LEAST, path, value))
    assert done.returncode != 0, "not refused"
    assert said in done.stderr


def test_schema_lists_every_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def unlisted(values: Resource, part: Resource, where: str) -> list[str]:
        listed = part.get("properties")
        if listed is None:
            return []
        return [where + name for name in values.keys() ^ (listed.keys() - {"global"})] + [
            each
            for name, value in values.items()
            if isinstance(value, dict)
            for each in unlisted(value, listed[name], f"{where}{name}.")
        ]

    assert unlisted(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "") == []
