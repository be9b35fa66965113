"""What a new user meets: files, addresses, mistakes in the configuration, the end."""
import json
import os
import subprocess
import tempfile
import unittest
import urllib.request

from server import BINARY, Server, wait_until


class FirstStart(unittest.TestCase):
    def test_a_start_makes_what_is_needed_and_a_second_one_keeps_it(self):
        server = Server(dev=False)
        self.addCleanup(server.close)
        self.assertEqual(set(server.info["ports"]), {"mqtts", "https", "admin"})
        self.assertEqual(server.info["pid"], server.process.pid)
        self.assertEqual(server.info["region"], "us-east-1")
        self.assertEqual(server.info["account"], "000000000000")
        self.assertEqual(server.info["data_dir"], server.data_dir)
        self.assertEqual(os.stat(server.path("credentials")).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(server.data_dir).st_mode & 0o777, 0o700)
        with open(server.path("credentials")) as file:
            credentials = file.read()
        self.assertIn("[default]", credentials)
        secret = credentials.split("aws_secret_access_key = ")[1].split()[0]
        wait_until(lambda: secret in server.read_log())  # said after the ready file is there
        with open(server.ca) as file:
            ca = file.read()
        self.assertEqual(server.stop(), 0)
        os.truncate(os.path.join(server.folder, "log"), 0)
        server.start()
        with open(server.ca) as file:
            self.assertEqual(file.read(), ca)
        self.assertNotIn(secret, server.read_log())

    def test_a_second_server_on_the_same_folder_is_refused(self):
        server = Server()
        self.addCleanup(server.close)
        second = subprocess.run([BINARY, "serve", "--data-dir", server.data_dir], capture_output=True, text=True, timeout=60)
        self.assertEqual(second.returncode, 1)
        self.assertIn("in use by another process", second.stderr)

    def test_mistakes_in_the_configuration_end_with_2_and_one_line(self):
        with tempfile.TemporaryDirectory() as folder:
            for arguments, words in [
                (["--set", "listen.mqqts=off"], ["listen.mqqts", "listen.mqtts"]),
                (["--set", "listen.mqtts=8883"], ["listen.mqtts", "8883", "host:port"]),
                (["--set", "workers=many"], ["workers", "many", "whole number"]),
                (["--config", os.path.join(folder, "absent.toml")], ["absent.toml"]),
            ]:
                done = subprocess.run([BINARY, "serve", "--data-dir", folder, *arguments], capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                for word in words:
                    self.assertIn(word, done.stderr)

    def test_the_printed_configuration_is_one(self):
        with tempfile.TemporaryDirectory() as folder:
            printed = subprocess.run([BINARY, "config", "print"], capture_output=True, text=True, check=True).stdout
            file = os.path.join(folder, "iotcore.toml")
            with open(file, "w") as out:
                out.write(printed)
            again = subprocess.run([BINARY, "config", "print", "--config", file], capture_output=True, text=True, check=True).stdout
            self.assertEqual(printed, again)

    def test_the_admin_face_tells_health_metrics_and_the_api(self):
        server = Server()
        self.addCleanup(server.close)

        def get(path):
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port('admin')}{path}") as reply:
                return reply.read().decode()

        self.assertEqual(get("/healthz"), "ok\n")
        self.assertEqual(get("/readyz"), "ready\n")
        self.assertIn("# TYPE iotcore_messages_received_total counter", get("/metrics"))
        self.assertIn("/things/{thingName}", json.loads(get("/openapi.json"))["paths"])

    def test_thing_create_makes_a_device_that_works_as_printed(self):
        server = Server(dev=False)
        self.addCleanup(server.close)
        out = os.path.join(server.folder, "lamp")
        made = subprocess.run(
            [BINARY, "thing", "create", "lamp", "--out", out, "--data-dir", server.data_dir],
            capture_output=True, text=True, timeout=60,
        )
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(os.stat(os.path.join(out, "lamp.key.pem")).st_mode & 0o777, 0o600)
        line = next(line for line in made.stdout.splitlines() if "mosquitto_pub" in line)
        subprocess.run(["bash", "-c", line], check=True, timeout=60)
        again = subprocess.run(
            [BINARY, "thing", "create", "bad name", "--out", out, "--data-dir", server.data_dir],
            capture_output=True, text=True, timeout=60,
        )
        self.assertEqual(again.returncode, 1)
        self.assertIn("thingName", again.stderr)
        server.stop()
        lost = subprocess.run(
            [BINARY, "thing", "create", "x", "--out", out, "--data-dir", os.path.join(out, "nowhere")],
            capture_output=True, text=True, timeout=60,
        )
        self.assertEqual(lost.returncode, 1)
        self.assertIn("iotcore serve", lost.stderr)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
