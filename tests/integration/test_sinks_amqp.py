"""Rules that publish over AMQP, also by TLS: RabbitMQ, killed while messages are on their way."""
import json
import subprocess
import unittest

from sinks import TlsCase, shut_out
import targets

COUNT = 300


class AmqpSink(TlsCase):
    @classmethod
    def setUpClass(cls):
        cls.rabbit = targets.RabbitMq(asks=True)
        cls.addClassCleanup(cls.rabbit.close)
        cls.start_server()

    def tool(self, name, *arguments):
        return subprocess.run([f"/usr/bin/amqp-{name}", "--url", f"amqp://guest:guest@127.0.0.1:{self.rabbit.port}", *arguments],
                              capture_output=True, text=True, timeout=60)

    def declare(self, queue):
        done = self.tool("declare-queue", "-d", "-q", queue)
        self.assertEqual(done.returncode, 0, done.stderr)

    def get(self, queue):
        done = self.tool("get", "-q", queue)
        return done.stdout if done.returncode == 0 else None

    def rule(self, name, text):
        self.apply(name, f"CREATE TARGET {name}_q AS amqp(url = 'amqp://guest:guest@127.0.0.1:{self.rabbit.port}/');\nCREATE RULE {name} AS {text};")

    def test_a_message_arrives_and_one_that_no_queue_takes_fails(self):
        self.declare("basic-a")
        self.rule("basic", "SELECT v FROM 'basic/+' DO amqp(target = 'basic_q', routingKey = 'basic-${topic(2)}', headers = {'h': '${v}'})"
                           " ON ERROR DO republish(topic = 'failed/basic', qos = 1)")
        failed = self.failures("failed/basic")
        self.publish("basic/a", {"v": 1})
        self.wait_equal(lambda: self.get("basic-a"), '{"v":1}')
        self.publish("basic/b", {"v": 2})
        self.assertIn(b"NO_ROUTE", failed.wait(1)[0].payload)

    def test_an_exchange_that_is_not_there_fails(self):
        self.rule("exchange", "SELECT v FROM 'exchange/in' DO amqp(target = 'exchange_q', exchange = 'none', routingKey = 'k')"
                              " ON ERROR DO republish(topic = 'failed/exchange', qos = 1)")
        failed = self.failures("failed/exchange")
        self.publish("exchange/in", {"v": 1})
        self.assertIn(b"NOT_FOUND", failed.wait(1)[0].payload)

    def test_tls_with_a_certificate_of_ours(self):
        action = "amqp(target = '{target}', routingKey = 'tls')"
        account = ", user = 'guest', password = 'guest'"
        self.declare("tls")
        self.deliver_known("amqp", self.rabbit, action, account)
        self.wait_equal(lambda: self.get("tls"), '{"v":"right"}')
        # And who is not signed by whom we trust gets nothing of ours.
        key = f", cert = '{self.rabbit.client[1]}', key = '{self.rabbit.client[2]}'"
        self.deliver("amqp", self.rabbit, action, account + key, "localhost")
        self.wait_equal(lambda: self.get("tls"), '{"v":"right"}')

    def test_nothing_is_lost_or_reordered_when_the_broker_is_killed(self):
        self.declare("kept")
        self.rule("kept", "SELECT n FROM 'kept/in' DO amqp(target = 'kept_q', routingKey = 'kept') WITH (retryMax = 1000)")
        self.load_while_killed("kept/in", self.rabbit, COUNT, lambda: True)
        numbers = []

        def take():
            document = self.get("kept")
            while document:
                numbers.append(json.loads(document)["n"])
                document = self.get("kept")
            return len(set(numbers)) == COUNT
        self.wait(take, lambda: f"{len(set(numbers))} of {COUNT}", 120)
        self.assertEqual(shut_out(numbers, COUNT), ([], False))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
