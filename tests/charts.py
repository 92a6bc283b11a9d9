"""The Helm chart, rendered by Helm itself, and what Kubernetes' rule `restricted` asks of pods."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment import DEPLOY, ROOT

Resource = dict[str, Any]
CHART = DEPLOY / "helm/nextact"
RELEASE = "shop"
_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_MODULES = ROOT / ".tools/node_modules"
_HELM = ROOT / ".tools/layer/helm/helm"


def helm(*arguments: str, values: Resource | None = None) -> subprocess.CompletedProcess[str]:
    """Run Helm with these values, in a home of its own; skip the test where there is none."""
    program = str(_HELM) if _HELM.exists() else shutil.which("helm")
    if program is None:
        pytest.skip("helm is not here: `make tools` fetches it")
    with tempfile.TemporaryDirectory() as home:
        file = Path(home, "values.json")
        file.write_text(json.dumps(values or {}))
        more = ["--values", str(file)] if values is not None else []
        return subprocess.run(
            [program, *arguments, *more],
            env=os.environ | {"HOME": home, "HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home, "HELM_DATA_HOME": home},
            capture_output=True,
            text=True,
        )


def rendered(values: Resource) -> list[Resource]:
    """Return the resources that Helm makes of the chart with these values."""
    done = helm("template", RELEASE, str(CHART), "--namespace", "shop", values=values)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def only(resources: list[Resource], kind: str) -> Resource:
    """Return the one resource of a kind."""
    [found] = [resource for resource in resources if resource["kind"] == kind]
    return found


def pods(resources: list[Resource]) -> Iterator[Resource]:
    """Yield the pods' templates of all resources that make pods."""
    for resource in resources:
        if "template" in resource.get("spec", {}):
            yield resource["spec"]["template"]


def environment(container: Resource) -> dict[str, str]:
    """Return a container's variables; one that is read from elsewhere has the value `elsewhere`."""
    return {each["name"]: each.get("value", "elsewhere") for each in container["env"]}


def refused_custom_resources(resources: list[Resource]) -> list[str]:
    """Return what KEDA or the Prometheus operator would refuse, by their schemas; skip without these."""
    node = shutil.which("node")
    if node is None or not _MODULES.is_dir():
        pytest.skip("node or the schemas of custom resources are not here: `make tools` fetches them")
    done = subprocess.run(
        [node, ROOT / "tests/custom_resources.mjs", _MODULES],
        input=json.dumps(resources),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def refused_by_restricted(pod: Resource) -> list[str]:
    """Return what the Pod Security Standard `restricted` refuses in a pod's spec; empty: nothing."""
    spec, found = pod["spec"], []
    context = spec.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        found += [name] if spec.get(name) else []
    for volume in spec.get("volumes", ()):
        found += [f"volume {volume['name']}"] if not _VOLUMES & set(volume) else []
    if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        found.append("seccompProfile")
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
        found.append("root")
    for container in [*spec["containers"], *spec.get("initContainers", ())]:
        own, name = container.get("securityContext", {}), container["name"]
        found += [f"{name}: escalation"] if own.get("allowPrivilegeEscalation") is not False else []
        found += [f"{name}: capabilities"] if own.get("capabilities") != {"drop": ["ALL"]} else []
        found += [f"{name}: privileged"] if own.get("privileged") else []
        found += [f"{name}: host port" for port in container.get("ports", ()) if "hostPort" in port]
    return found
