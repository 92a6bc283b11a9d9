"""A Kubernetes API that knows some resources and can be asked alone: enough for what a chart looks up."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


def _answers(resources: Sequence[dict[str, Any]], release: str, namespace: str) -> dict[str, dict[str, Any]]:
    """Return what is there by its path: each resource, and what the API says of their kinds."""
    found: dict[str, dict[str, Any]] = {"/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0"}}
    groups: dict[str, dict[str, Any]] = {}
    for each in resources:
        version, kind, there = each["apiVersion"], each["kind"], {"namespace": namespace} | each["metadata"]
        root, plural = "/apis/" if "/" in version else "/api/", f"{kind.lower()}s"
        listed = found.setdefault(root + version, {"kind": "APIResourceList", "groupVersion": version, "resources": []})
        listed["resources"].append({"name": plural, "namespaced": True, "kind": kind, "verbs": ["get"]})
        owned = {f"meta.helm.sh/release-{what}": value for what, value in (("name", release), ("namespace", namespace))}
        found[f"{root}{version}/namespaces/{there['namespace']}/{plural}/{there['name']}"] = each | {
            "metadata": there | {"annotations": owned}
        }
        if "/" in version:
            named = {"groupVersion": version, "version": version.partition("/")[2]}
            groups[version] = {"name": version.partition("/")[0], "versions": [named]}
    return found | {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "groups": list(groups.values())},
    }


@contextmanager
def cluster(resources: Sequence[dict[str, Any]], release: str, namespace: str) -> Iterator[str]:
    """Serve an API with the resources of a release, in this namespace if they name none; yield its address."""
    known = _answers(resources, release, namespace)

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = known.get(self.path.partition("?")[0])
            body = json.dumps(found or {"kind": "Status", "reason": "NotFound", "code": 404}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = Thread(target=server.serve_forever, name="kubernetes")
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
