"""Runs what the documents tell their readers to type, and holds what they say of the configuration against the program."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from server import BINARY, Server  # noqa: E402


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


class Docs(unittest.TestCase):
    def run_as_written(self, text):
        """The shell examples of a text, one after the other, against a server of its own."""
        server = Server(dev=False)
        self.addCleanup(server.close)
        script = "\n".join(blocks(text, "sh"))
        script = script.replace("build/release/iotcore", os.path.abspath(BINARY))
        script = script.replace("8883", str(server.port("mqtts"))).replace("8443", str(server.port("https")))
        script = script.replace("9443", str(server.port("admin")))
        os.symlink(server.data_dir, os.path.join(server.folder, "iotcore-data"))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=server.folder, capture_output=True, text=True, timeout=250,
            env=dict(os.environ, IOTCORE_DATA_DIR="iotcore-data", AWS_PAGER="", PATH="/usr/bin:/bin"),
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + server.read_log())
        return done.stdout

    def test_the_tour_works_as_written(self):
        readme = (ROOT / "README.md").read_text()
        printed = self.run_as_written(readme.split("## A five-minute tour")[1].split("\n## ")[0])
        self.assertIn('"lux":812', printed)
        self.assertIn('"thingName": "lamp"', printed)
        self.assertIn('"desired":{"on":true}', printed)

    def test_identity_works_as_written(self):
        printed = self.run_as_written((ROOT / "docs" / "identity.md").read_text())
        self.assertIn('"ALLOWED"', printed)
        self.assertIn('"iot:ClientId"', printed)
        self.assertIn("pump-1", printed)

    def test_operating_works_as_written(self):
        self.run_as_written((ROOT / "docs" / "operating.md").read_text())

    def test_troubleshooting_works_as_written(self):
        self.run_as_written((ROOT / "docs" / "troubleshooting.md").read_text())

    def test_the_limits_that_are_named_are_keys(self):
        keys, section = set(), ""
        for line in subprocess.run([BINARY, "config", "print"], capture_output=True, text=True, check=True).stdout.splitlines():
            if line.startswith("["):
                section = line[1:-1] + "."
            elif " = " in line and not line.startswith("#"):
                keys.add(section + line.split(" = ")[0])
        named = re.findall(r"`((?:mqtt|limits|rules|shadow|audit)\.[a-z_.A-Z]+)`", (ROOT / "docs" / "limits.md").read_text())
        self.assertGreater(len(named), 15)
        for name in named:
            self.assertTrue(name.replace("FACE", "mqtts") in keys, name)

    def test_every_key_is_documented_with_its_default(self):
        document = (ROOT / "docs" / "configuration.md").read_text()
        printed = subprocess.run([BINARY, "config", "print"], capture_output=True, text=True, check=True, cwd="/").stdout
        self.assertIn(printed.strip(), [block.strip() for block in blocks(document, "toml")])

    def test_the_code_that_documents_name_is_there(self):
        """`broker/topic_tree.h`, `SinkQueue`, `Engine::execute`: of the documents about the code."""
        sources = {path.relative_to(ROOT).as_posix(): path.read_text(errors="replace")
                   for module in ("base", "broker", "functions", "gateway", "net", "registry", "rules", "server", "shadow", "store")
                   for path in (ROOT / module).rglob("*") if path.suffix in (".h", ".cpp")}
        everything = "\n".join(sources.values())
        for name in ("architecture.md", "life_of_a_message.md"):
            for word in re.findall(r"`([^`\n]+)`", (ROOT / "docs" / name).read_text()):
                if re.fullmatch(r"[a-z0-9_]+(/[a-z0-9_]+)+(\.(h|cpp))?/?", word) and word.split("/")[0] in {m.split("/")[0] for m in sources}:
                    self.assertTrue((ROOT / word).exists() or any(path.startswith(word) for path in sources), f"{name}: {word}")
                elif re.fullmatch(r"[A-Z][A-Za-z0-9]+(::[A-Za-z_0-9]+)?", word) and not word.isupper():
                    self.assertIn(word.split("::")[-1], everything, f"{name}: {word}")

    def test_the_api_is_documented_as_it_is_described(self):
        printed = subprocess.run([BINARY, "api"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(printed, (ROOT / "docs" / "api.md").read_text(), "write it anew: iotcore api > docs/api.md")

    def test_functions_are_documented_as_they_are_called(self):
        printed = subprocess.run([BINARY, "rule", "functions"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(printed, (ROOT / "docs" / "sql.md").read_text(), "write it anew: iotcore rule functions > docs/sql.md")

    def test_the_threats_are_shown_by_tests_that_are_there(self):
        named = re.findall(r"`((?:integration|unit|vectors|fuzz)(?:/[\w./]+)?)`", (ROOT / "docs" / "security.md").read_text())
        self.assertGreater(len(named), 30)
        for each in named:
            self.assertTrue((ROOT / "tests" / each).exists(), each)

    def test_links_between_documents_lead_somewhere(self):
        for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
            for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
                self.assertTrue((document.parent / target).exists(), f"{document.name}: {target}")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
