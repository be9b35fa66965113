"""Rules that write to Redis: the real server, killed while records are on their way."""
import signal
import unittest

from server import wait_until
from sinks import SinkCase, shut_out
import targets

COUNT = 600


class RedisSink(SinkCase):
    @classmethod
    def setUpClass(cls):
        cls.redis = targets.Redis()
        cls.addClassCleanup(cls.redis.close)
        cls.start_server()

    def rule(self, name, text):
        self.apply(name, f"CREATE TARGET {name}_r AS redis(url = 'redis://127.0.0.1:{self.redis.port}');\nCREATE RULE {name} AS {text};")

    def test_every_command(self):
        self.rule("all", """SELECT * FROM 'all/+'
            DO redis(target = 'all_r', command = 'SET', key = 'last:${topic(2)}', args = '${v}', ttl = '1h')
            DO redis(target = 'all_r', command = 'HSET', key = 'h:${topic(2)}')
            DO redis(target = 'all_r', command = 'LPUSH', key = 'list', maxlen = 2)
            DO redis(target = 'all_r', command = 'XADD', key = 'stream', args = {'device': '${topic(2)}', 'v': '${v}'}, maxlen = 1000)
            DO redis(target = 'all_r', command = 'PUBLISH', key = 'channel')""")
        for value in range(3):
            self.publish("all/a", {"v": value, "o": {"x": 1}})
        self.wait_equal(lambda: self.redis.ask("XLEN", "stream"), "3")
        self.wait_equal(lambda: self.redis.ask("GET", "last:a"), "2")
        self.assertGreater(int(self.redis.ask("TTL", "last:a")), 3000)
        self.assertEqual(self.redis.ask("HGET", "h:a", "o"), '{"x":1}')
        self.wait_equal(lambda: self.redis.ask("LLEN", "list"), "2")
        self.assertIn("device\na\nv\n2", self.redis.ask("XREVRANGE", "stream", "+", "-", "COUNT", "1"))

    def test_a_command_that_is_refused_fails_alone(self):
        self.redis.ask("SET", "text", "x")
        self.rule("type", "SELECT k, v FROM 'type/in' DO redis(target = 'type_r', command = 'RPUSH', key = '${k}')"
                          " ON ERROR DO republish(topic = 'type/failed', qos = 1)")
        failed = self.failures("type/failed")
        for key in ("good", "text", "good"):
            self.publish("type/in", {"k": key})
        self.assertIn(b"WRONGTYPE", failed.wait(1)[0].payload)
        self.wait_equal(lambda: self.redis.ask("LLEN", "good"), "2")

    def test_nothing_is_lost_repeated_or_reordered_when_the_server_is_killed(self):
        self.rule("kept", "SELECT n FROM 'kept/in' DO redis(target = 'kept_r', command = 'RPUSH', key = 'kept', args = '${n}')"
                          " WITH (retryMax = 500)")
        self.load_while_killed("kept/in", self.redis, COUNT, lambda: self.redis.ask("EXISTS", "kept") == "1")
        self.wait_equal(lambda: self.redis.ask("LLEN", "kept"), str(COUNT))
        numbers = [int(line) for line in self.redis.ask("LRANGE", "kept", "0", "-1").split()]
        self.assertEqual(shut_out(numbers, COUNT), ([], False))

    def test_a_server_that_hangs_gets_nothing_twice(self):
        self.apply("slow", f"CREATE TARGET slow_r AS redis(host = '127.0.0.1', port = {self.redis.port}, timeout = '300ms');\n"
                           "CREATE RULE slow AS SELECT n FROM 'slow/in' DO redis(target = 'slow_r', command = 'RPUSH', key = 'slow', args = '${n}')"
                           " WITH (retryMax = 200, batchSize = 20);")
        for first in (0, 100):
            infos = [self.client.client.publish("slow/in", '{"n": %d}' % n, qos=1) for n in range(first, first + 100)]
            self.redis.signal(signal.SIGSTOP)
            for info in infos:
                info.wait_for_publish(60)
            wait_until(lambda: "sink.down" in self.server.read_log())
            self.redis.signal(signal.SIGCONT)
            self.wait_equal(lambda: self.redis.ask("LLEN", "slow"), str(first + 100))
        self.assertEqual(self.redis.ask("LRANGE", "slow", "0", "-1").split(), [str(n) for n in range(200)])

    def test_what_is_wrong_is_told(self):
        for text, message in [
            ("redis(target = 'r', command = 'GET', key = 'k')", "'GET' is none of"),
            ("redis(target = 'r', command = 'SET', key = 'k', maxlen = 2)", "goes with XADD"),
            ("redis(target = 'r', command = 'XADD', key = 'k', args = 'x')", "must be a map"),
        ]:
            self.refused(f"CREATE TARGET r AS redis(host = 'h');\nCREATE RULE wrong AS SELECT * FROM 'a' DO {text};", message)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
