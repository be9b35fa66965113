"""Targets over TLS: with the authority that they are told, and with another one, which nobody may pass for."""
import json
import unittest

from sinks import SinkCase
import targets


class TlsSinks(SinkCase):
    @classmethod
    def setUpClass(cls):
        cls.start_server()

    def start(self, kind):
        made = kind(tls=True)
        self.addCleanup(made.close)
        return made

    def deliver(self, name, target, action, more=""):
        """One record by a target that trusts the server, and one by a target that trusts another authority."""
        for trust, ca in (("right", target.certificate), ("wrong", self.server.ca)):
            self.apply(name + trust, f"""
                CREATE TARGET {name}{trust} AS {name}(host = '127.0.0.1', port = {target.port}, tls = TRUE, ca = '{ca}', timeout = '5s'{more});
                CREATE RULE {name}{trust} AS SELECT v FROM '{name}/{trust}' DO {action.format(target=name + trust)} WITH (retryMax = 200, maxAttempts = 2)
                ON ERROR DO republish(topic = 'failed/{name}', qos = 1);
            """)
        failed = self.failures("failed/" + name)
        for trust in ("right", "wrong"):
            self.publish(f"{name}/{trust}", {"v": trust})
        reason = json.loads(failed.wait(1)[0].payload)["failures"][0]["errorMessage"]
        self.assertRegex(reason.lower(), "certificate|tls|ssl")

    def test_postgres(self):
        db = self.start(targets.Postgres)
        db.ask("CREATE TABLE t(v text)")
        self.deliver("postgres", db, "postgres(target = '{target}', table = 't')", ", dbname = 'postgres', user = 'iot'")
        self.wait_equal(lambda: db.ask("SELECT v FROM t"), "right")
        self.assertEqual(db.ask("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'iotcore'"), "t")

    def test_redis(self):
        redis = self.start(targets.Redis)
        self.deliver("redis", redis, "redis(target = '{target}', command = 'SET', key = 'k')")
        self.wait_equal(lambda: redis.ask("GET", "k"), '{"v":"right"}')

    def test_nats(self):
        nats = self.start(targets.Nats)
        self.deliver("nats", nats, "nats(target = '{target}', subject = 's')")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
