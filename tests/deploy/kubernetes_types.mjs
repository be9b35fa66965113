// kubernetes_types.mjs FILE: whether each object of a YAML file is one that Kubernetes' types allow.
import { readFileSync } from "node:fs";
import { loadAll } from "js-yaml";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
for (const object of loadAll(readFileSync(process.argv[2], "utf8"))) {
  if (!object) continue;
  const [group, version] = object.apiVersion.includes("/") ? object.apiVersion.split("/") : ["", object.apiVersion];
  const types = require(`kubernetes-models/${group ? group + "/" : ""}${version}`);
  new types[object.kind](object).validate();
  console.log(`${object.kind} ${object.metadata.name}`);
}
