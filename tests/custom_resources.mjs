// Reads custom resources as a JSON array and prints what KEDA or the Prometheus operator would refuse, a line each.
// Usage: node tests/custom_resources.mjs FOLDER_OF_NODE_MODULES < resources.json
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const kinds = {
  "keda.sh/v1alpha1": "@kubernetes-models/keda/keda.sh/v1alpha1/index.js",
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/index.js",
};
for (const resource of JSON.parse(readFileSync(0, "utf8"))) {
  const models = await import(new URL(kinds[resource.apiVersion], folder));
  try {
    new models[resource.kind](resource).validate();
  } catch (error) {
    console.log(`${resource.kind}: ${error.message.replaceAll("\n", " ")}`);
  }
}
