"""Secrets of rules reach their targets, and nothing else: neither the store nor the log nor what operators are shown."""
import json
import os
import subprocess
import tempfile
import unittest

from server import BINARY, Server, Subscriber, wait_until
from test_sinks_http import StandIn

ROLE = "arn:aws:iam::000000000000:role/r"
SECRET = "hush-94c1-and-never-written"


class RuleSecrets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.secrets = tempfile.mkdtemp()
        cls.keep("api", SECRET)
        cls.server = Server(settings=("secrets.dir=" + cls.secrets, "http.allow=127.0.0.1"))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    @classmethod
    def keep(cls, name, value):
        with open(os.path.join(cls.secrets, name), "w") as file:
            file.write(value)

    def command(self, *arguments):
        done = subprocess.run([BINARY, *arguments, "--data-dir", self.server.data_dir], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def assert_nowhere(self, *shown, secret=SECRET):
        """Neither in what was shown, nor in the log, nor in any file of the server."""
        for text in (*shown, self.server.read_log()):
            self.assertNotIn(secret, text)
        for folder, _, files in os.walk(self.server.data_dir):
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(secret.encode(), file.read(), os.path.join(folder, name))

    def rule(self, name, text, answer):
        target = StandIn(answer)
        self.addCleanup(target.close)
        path = os.path.join(self.server.folder, name + ".sql")
        with open(path, "w") as file:
            file.write(text.replace("@PORT", str(target.port)).replace("@ROLE", ROLE))
        self.command("rule", "apply", path)
        client = Subscriber(self.server, "none", client_id=name)
        self.addCleanup(client.close)
        return target, client

    def test_a_dead_letter_names_its_secret_and_finds_it_again(self):
        state = {"status": 400}
        target, client = self.rule("refused", """
CREATE RULE refused AS
SELECT v, get_secret('api', 'SecretString', '@ROLE') AS inside FROM 'refused'
DO webhook(url = 'http://127.0.0.1:@PORT/x', headers = {
  'Authorization': 'Basic ${encode(concat(user, '':'', get_secret(''api'', ''SecretString'', ''@ROLE'')), ''base64'')}',
  'X-Plain': '${get_secret(''api'', ''SecretString'', ''@ROLE'')}'});
""", lambda request: (state["status"], b"no: " + SECRET.encode()))
        client.publish("refused", json.dumps({"v": 1, "user": "it's"}))
        wait_until(lambda: "refused-" in self.command("dead-letters", "list"))
        import base64
        got = target.requests[0]
        self.assertEqual(json.loads(got.body), {"v": 1, "inside": SECRET})
        self.assertEqual(got.headers["X-Plain"], SECRET)
        self.assertEqual(got.headers["Authorization"], "Basic " + base64.b64encode(f"it's:{SECRET}".encode()).decode())
        listed = self.command("dead-letters", "list", "--rule", "refused")
        letter = listed.split()[0]
        shown = self.command("dead-letters", "show", letter)
        self.assertIn("encode(concat('it''s', ':', get_secret('api', 'SecretString',", shown)
        self.assert_nowhere(listed, shown)
        self.assert_nowhere(secret=base64.b64encode(f"it's:{SECRET}".encode()).decode())
        self.assertEqual(len(target.requests), 1)
        state["status"] = 200
        self.command("dead-letters", "retry", letter)
        wait_until(lambda: len(target.requests) == 2)
        self.assertEqual(target.requests[1].headers["X-Plain"], SECRET)

    def test_what_waits_in_the_outbox_has_no_secret_and_gets_the_newest(self):
        state = {"status": 503}
        target, client = self.rule("waits", """
CREATE RULE waits AS SELECT v FROM 'waits'
DO webhook(url = 'http://127.0.0.1:@PORT/x', headers = {'X-Plain': 'a ${get_secret(''late'', ''SecretString'', ''@ROLE'')}'});
""", lambda request: (state["status"], b""))
        client.publish("waits", '{"v": 1}')
        wait_until(lambda: "late" in self.command("sinks"))  # there is no such secret yet: the record waits for it
        self.assertEqual(target.requests, [])
        self.keep("late", "late-" + SECRET)
        wait_until(lambda: len(target.requests) > 0)
        self.assertEqual(target.requests[0].headers["X-Plain"], "a late-" + SECRET)
        self.assert_nowhere(self.command("sinks"))
        state["status"] = 200
        wait_until(lambda: target.requests[-1].headers["X-Plain"] and "waits" not in self.command("dead-letters", "list"))

    def test_what_a_rule_says_itself_is_not_kept_with_records(self):
        target, client = self.rule("literal", """
CREATE RULE literal AS SELECT v FROM 'literal'
DO webhook(url = 'http://127.0.0.1:@PORT/x', headers = {'X-Api-Key': 'own-key-77'});
""", lambda request: (400, b""))
        client.publish("literal", '{"v": 1}')
        wait_until(lambda: "literal-" in self.command("dead-letters", "list"))
        self.assertEqual(target.requests[0].headers["X-Api-Key"], "own-key-77")
        shown = self.command("dead-letters", "show", self.command("dead-letters", "list", "--rule", "literal").split()[0])
        self.assertIn("(headers/0/X-Api-Key of the rule)", shown)
        self.assertNotIn("own-key-77", shown)

    def test_nor_is_what_it_says_beside_references(self):
        target, client = self.rule("mixed", """
CREATE RULE mixed AS SELECT v FROM 'mixed'
DO webhook(url = 'http://127.0.0.1:@PORT/x', headers = {'X-Api-Key': 'own-key-88-${v}-${get_secret(''api'', ''SecretString'', ''@ROLE'')}-tail'});
""", lambda request: (400, b"no: " + request.headers["X-Api-Key"].encode()))
        client.publish("mixed", '{"v": 1}')
        wait_until(lambda: "mixed-" in self.command("dead-letters", "list"))
        self.assertEqual(target.requests[0].headers["X-Api-Key"], f"own-key-88-1-{SECRET}-tail")
        shown = self.command("dead-letters", "show", self.command("dead-letters", "list", "--rule", "mixed").split()[0])
        self.assertIn("(headers/0/X-Api-Key#0 of the rule)1", shown)
        for hidden in ("own-key-88", "-tail", SECRET):
            self.assertNotIn(hidden, shown)

    def test_a_message_cannot_stand_for_a_secret(self):
        target, client = self.rule("forged", """
CREATE RULE forged AS SELECT * FROM 'forged'
DO webhook(url = 'http://127.0.0.1:@PORT/x', headers = {'X-Plain': '${v}${get_secret(''api'', ''SecretString'', ''@ROLE'')}'});
""", lambda request: (200, b""))
        text = "withheld" + "0" * 32 + "x" + "get_secret('api', 'SecretString', 'r')".encode().hex() + "z"
        client.publish("forged", json.dumps({"v": text}))
        wait_until(lambda: target.requests)
        self.assertEqual(target.requests[0].headers["X-Plain"], text + SECRET)
        self.assertEqual(json.loads(target.requests[0].body), {"v": text})


if __name__ == "__main__":
    unittest.main()
