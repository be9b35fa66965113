"""iotcore backup and restore: a copy made under load holds all that was acknowledged before, and another server starts on it."""
import contextlib
import json
import os
import pathlib
import sqlite3
import stat
import subprocess
import tempfile
import threading
import unittest
import urllib.request

from server import BINARY, Server


def iotcore(*arguments, check=True):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments}: {done.stderr}")
    return done


class Writer(threading.Thread):
    """Updates shadows over the API and remembers which versions were acknowledged."""

    def __init__(self, server):
        super().__init__()
        self.data = server.api("iot-data")
        self.versions = {}
        self.going = True

    def run(self):
        count = 0
        while self.going:
            thing = f"machine-{count % 20}"
            answer = self.data.update_thing_shadow(
                thingName=thing, payload=json.dumps({"state": {"reported": {"count": count}}}))
            self.versions[thing] = json.loads(answer["payload"].read())["version"]
            self.data.publish(topic=f"rows/{count}", qos=1, payload=json.dumps({"count": count}))
            count += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.going = False
        self.join()


RULE = {"sql": "SELECT * FROM 'rows/+'",
        "actions": [{"iotcore": {"type": "sqlite", "file": "rows.db", "table": "readings"}}]}


def create_rule(server, name, rule):
    """With an action of ours, which boto3 does not know."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port('http')}/rules/{name}", json.dumps(rule).encode(), method="POST")
    urllib.request.urlopen(request, timeout=30).close()


class BackupTest(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)
        self.elsewhere = tempfile.TemporaryDirectory(prefix="iotcore-restored-")
        self.addCleanup(self.elsewhere.cleanup)

    def backup(self, *name):
        out = iotcore("backup", *name, "--data-dir", self.server.data_dir).stdout
        return pathlib.Path(out.splitlines()[0])

    def restored(self, backup):
        folder = pathlib.Path(self.elsewhere.name)
        iotcore("restore", backup, "--data-dir", folder / "data")
        other = Server(data_dir=str(folder))
        self.addCleanup(other.close)
        return other

    def test_a_copy_under_load_holds_what_was_acknowledged(self):
        iot = self.server.api()
        iot.create_thing(thingName="press", attributePayload={"attributes": {"hall": "3"}})
        create_rule(self.server, "rows", RULE)
        with Writer(self.server) as writer:
            while len(writer.versions) < 20:
                pass
            before = dict(writer.versions)
            backup = self.backup("nightly")
            after = dict(writer.versions)
        self.assertGreater(sum(after.values()), sum(before.values()), "nothing was written meanwhile")
        self.assertEqual(stat.S_IMODE(os.stat(backup).st_mode), 0o700)

        other = self.restored(backup)
        self.assertEqual(other.api().describe_thing(thingName="press")["attributes"], {"hall": "3"})
        self.assertEqual(other.api().get_topic_rule(ruleName="rows")["rule"]["sql"], RULE["sql"])
        data = other.api("iot-data")
        for thing, version in before.items():
            kept = json.loads(data.get_thing_shadow(thingName=thing)["payload"].read())
            self.assertGreaterEqual(kept["version"], version)
        with contextlib.closing(sqlite3.connect(other.path("sinks", "rows.db"))) as rows:
            self.assertEqual(rows.execute("PRAGMA integrity_check").fetchone(), ("ok",))
        # The same installation: its keys sign and its certificates are right.
        self.assertEqual(pathlib.Path(other.ca).read_text(), pathlib.Path(self.server.ca).read_text())
        self.assertEqual(other.aws("iot", "describe-thing", "--thing-name", "press")[0], 0)

    def test_copies_have_names_of_their_own(self):
        self.backup("one")
        self.backup()
        names = sorted(os.listdir(self.server.path("backups")))
        self.assertEqual(len(names), 2)
        self.assertIn("one", names)
        refused = iotcore("backup", "one", "--data-dir", self.server.data_dir, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("There is a backup one already", refused.stderr)
        for bad in ("../out", ".hidden", "a/b", "x" * 129):
            refused = iotcore("backup", bad, "--data-dir", self.server.data_dir, check=False)
            self.assertIn("backupName", refused.stderr, bad)
        self.assertEqual(sorted(os.listdir(self.server.path("backups"))), names)

    def test_a_backup_holds_no_backups(self):
        self.backup("first")
        second = self.backup("second")
        self.assertFalse((second / "backups").exists())
        self.assertFalse((second / "server.json").exists())

    def test_a_backup_holds_no_backups_wherever_they_lie(self):
        self.server.stop()
        self.server.settings = ["backup.dir=" + self.server.path("kept", "copies")]
        self.server.start()
        self.backup("one")
        copies = self.backup("two").parent
        self.assertEqual(sorted(os.listdir(copies)), ["one", "two"])
        self.assertEqual(os.listdir(copies / "two" / "kept"), [])

    def test_restore_overwrites_nothing(self):
        backup = self.backup()
        refused = iotcore("restore", backup, "--data-dir", self.server.data_dir, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("is not empty", refused.stderr)
        with tempfile.TemporaryDirectory() as empty:
            refused = iotcore("restore", empty, "--data-dir", os.path.join(self.elsewhere.name, "x"), check=False)
            self.assertEqual(refused.returncode, 1)
        self.assertEqual(os.listdir(self.elsewhere.name), [])


if __name__ == "__main__":
    unittest.main()
