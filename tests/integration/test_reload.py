"""SIGHUP: the configuration is read again; what may change does, and the log says what did and what waits for a start."""
import json
import os
import signal
import tempfile
import unittest

from server import Server, Subscriber, wait_until


class ReloadTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="iotcore-reload-")
        self.addCleanup(folder.cleanup)
        self.config = os.path.join(folder.name, "iotcore.toml")
        self.write("[log]\nlevel = \"info\"\n")
        self.server = Server(config=self.config)
        self.addCleanup(self.server.close)

    def write(self, text):
        with open(self.config, "w") as file:
            file.write(text)

    def reload(self, *expected):
        self.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: all(each in self.server.read_log() for each in expected))
        return self.server.read_log()

    def test_a_level_changes_at_once(self):
        self.write("[log]\nlevel = \"debug\"\n")
        self.reload('config.changed key=log.level before="\\"info\\"" now="\\"debug\\""', "config.read")
        self.server.api().list_things()
        wait_until(lambda: "debug" in self.server.read_log())

    def test_the_form_changes_at_once(self):
        self.write("[log]\nformat = \"json\"\n")
        self.reload('"key":"log.format"')

    def test_what_needs_a_start_is_named(self):
        self.write("workers = 1\n")
        self.reload('config.changes_at_next_start key=workers before=0 now=1')

    def test_targets_change_at_once(self):
        self.write("[log]\nlevel = \"info\"\n[targets.store]\nkind = \"s3\"\nmatch = \"lake\"\nendpoint = \"http://127.0.0.1:1\"\n")
        self.reload("config.targets_changed")
        iot = self.server.api()
        iot.create_topic_rule(ruleName="lake", topicRulePayload={"sql": "SELECT * FROM 'lake'", "awsIotSqlVersion": "2016-03-23", "actions": [
            {"s3": {"bucketName": "lake", "key": "k", "roleArn": "arn:aws:iam::000000000000:role/r"}}]})
        device = Subscriber(self.server, client_id="d")
        self.addCleanup(device.close)
        device.publish("lake", '{"v": 1}')  # waits for who is not there
        self.write("[log]\nlevel = \"info\"\n[targets.store]\nkind = \"s3\"\nendpoint = 7\n")
        self.assertIn("store", self.reload("config.targets_not_changed"))
        # Without it the bucket is a folder again; what waited for it fails.
        self.write("[log]\nlevel = \"info\"\n")
        self.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.server.read_log().count("config.targets_changed") == 2)
        device.publish("lake", '{"v": 2}')
        wait_until(lambda: os.path.exists(self.server.path("sinks", "objects", "lake", "k")))
        with open(self.server.path("sinks", "objects", "lake", "k")) as file:
            self.assertEqual(json.load(file), {"v": 2})

    def test_a_bad_file_changes_nothing(self):
        self.write("[log]\nlevel = \"loud\"\n")
        log = self.reload("config.not_read")
        self.assertIn("log.level", log)
        self.assertEqual(self.server.api().list_things()["things"], [])


if __name__ == "__main__":
    unittest.main()
