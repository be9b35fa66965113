"""AWS's actions whose names targets take over: the rule stays as it is, and what it says arrives in PostgreSQL, Redis, NATS or InfluxDB."""
import base64
import json
import threading
import time
import unittest

from sinks import SinkCase
from test_sinks_nats import NatsClient
import targets


class Bindings(SinkCase):
    @classmethod
    def setUpClass(cls):
        cls.db = targets.Postgres()
        cls.addClassCleanup(cls.db.close)
        cls.redis = targets.Redis()
        cls.addClassCleanup(cls.redis.close)
        cls.nats = targets.Nats()
        cls.addClassCleanup(cls.nats.close)
        cls.start_server()

    def test_tables_of_dynamodb_are_tables_of_postgresql(self):
        self.db.ask("CREATE TABLE things2(device text PRIMARY KEY, v int, note text)")
        self.apply("dynamo", f"""
            CREATE TARGET tables AS postgres(match = 'dynamoDB:things*', host = '127.0.0.1', port = {self.db.port}, dbname = 'postgres', user = 'iot');
            CREATE TARGET tables2 AS postgres(match = 'dynamoDBv2:things*', host = '127.0.0.1', port = {self.db.port}, dbname = 'postgres', user = 'iot');
            CREATE RULE dynamo AS SELECT v FROM 'dynamo/+'
            DO dynamoDB(tableName = 'things', hashKeyField = 'device', hashKeyValue = '${{topic(2)}}', rangeKeyField = 'v', rangeKeyValue = '${{v % 2}}',
                        rangeKeyType = 'NUMBER', payloadField = 'data')
            DO dynamoDBv2(putItem.tableName = 'things2');
            CREATE RULE dynamo2 AS SELECT v, topic(2) AS device FROM 'dynamo/+' DO dynamoDBv2(putItem.tableName = 'things2');
            CREATE RULE gone AS SELECT * FROM 'gone/+'
            DO dynamoDB(tableName = 'things', hashKeyField = 'device', hashKeyValue = '${{topic(2)}}', operation = 'DELETE');
        """)
        for value in range(5):
            self.publish("dynamo/a", {"v": value})
        self.wait_equal(lambda: self.db.ask("SELECT device, v, data ->> 'v' FROM things ORDER BY v"), "a|0|4\na|1|3")
        self.wait_equal(lambda: self.db.ask("SELECT device, v FROM things2"), "a|4")
        self.publish("gone/a", {})
        self.wait_equal(lambda: self.db.ask("SELECT count(*) FROM things"), "0")

    def test_rules_that_find_one_target_by_two_ways_do_not_take_each_others_rows_for_delivered(self):
        self.db.ask("CREATE TABLE ways(way text, n int, PRIMARY KEY(way, n))")
        self.apply("ways", f"""
            CREATE TARGET ways AS postgres(match = 'dynamoDBv2:way*', host = '127.0.0.1', port = {self.db.port}, dbname = 'postgres', user = 'iot');
            CREATE RULE ways AS SELECT n, topic(2) AS way FROM 'ways/fixed' DO dynamoDBv2(putItem.tableName = 'ways');
            CREATE RULE ways_any AS SELECT n, topic(2) AS way FROM 'ways/any' DO dynamoDBv2(putItem.tableName = '${{topic(1)}}');
        """)
        for way in ("fixed", "any", "fixed"):
            for n in range(5):
                self.publish(f"ways/{way}", {"n": n if way == "any" else n + 5})
            self.wait_equal(lambda: self.db.ask(f"SELECT count(*) FROM ways WHERE way = '{way}'"), "5", timeout_s=20)

    def test_measures_of_timestream_are_rows_of_postgresql(self):
        self.db.ask("CREATE TABLE measures(time timestamptz, device text, temp float8, PRIMARY KEY(time, device))")
        self.apply("stream", f"""
            CREATE TARGET series AS postgres(match = 'timestream:*', host = '127.0.0.1', port = {self.db.port}, dbname = 'postgres', user = 'iot');
            CREATE RULE stream AS SELECT temp FROM 'stream/+'
            DO timestream(databaseName = 'd', tableName = 'measures', dimensions = [{{'name': 'device', 'value': '${{topic(2)}}'}}],
                          timestamp.value = '${{t}}', timestamp.unit = 'SECONDS');
        """)
        for temp in (20.5, 21.5):
            self.publish("stream/a", {"temp": temp, "t": 1700000000})
        self.wait_equal(lambda: self.db.ask("SELECT extract(epoch FROM time)::int, device, temp FROM measures"), "1700000000|a|21.5")

    def test_positions_are_rows_of_postgresql(self):
        self.apply("location", f"""
            CREATE TARGET fleet AS postgres(match = 'location:fleet', host = '127.0.0.1', port = {self.db.port}, dbname = 'postgres', user = 'iot');
            CREATE RULE location AS SELECT * FROM 'location/+'
            DO location(trackerName = 'fleet', deviceId = '${{topic(2)}}', latitude = '${{lat}}', longitude = '${{lon}}',
                        timestamp.value = '${{t}}', timestamp.unit = 'SECONDS');
        """)
        for t, lat in ((1700000001, 48.5), (1700000000, 48.0), (1700000001, 49.0)):
            self.publish("location/a", {"lat": lat, "lon": 11.5, "t": t})
        self.wait_equal(lambda: self.db.ask("SELECT device, extract(epoch FROM time)::int, latitude, longitude FROM fleet ORDER BY time"),
                        "a|1700000000|48|11.5\na|1700000001|49|11.5")

    def test_tables_of_series_have_a_partition_for_each_day(self):
        self.apply("days", f"""
            CREATE TARGET days AS postgres(match = 'location:days', host = '127.0.0.1', port = {self.db.port}, dbname = 'postgres', user = 'iot');
            CREATE TARGET raw_days AS postgres(match = 'timestream:raw', host = '127.0.0.1', port = {self.db.port}, dbname = 'postgres', user = 'iot');
            CREATE RULE days AS SELECT * FROM 'days/+'
            DO location(trackerName = 'days', deviceId = '${{topic(2)}}', latitude = '${{lat}}', longitude = '${{lon}}',
                        timestamp.value = '${{t}}', timestamp.unit = 'SECONDS')
            DO timestream(databaseName = 'd', tableName = 'raw', dimensions = [{{'name': 'device', 'value': '${{topic(2)}}'}}]);
        """)
        now = int(time.time())
        day = lambda ahead: time.strftime("%Y%m%d", time.gmtime(now + ahead * 86400))  # noqa: E731
        rows = "SELECT tableoid::regclass::text, count(*) FROM days GROUP BY 1 ORDER BY 1"
        for t in (now, now - 86400, now - 86400, 1700000000, now + 10 * 86400):
            self.publish("days/a", {"lat": 1.5, "lon": 2.5, "t": t})
        self.wait_equal(lambda: self.db.ask(rows), f"days_{day(-1)}|1\ndays_{day(0)}|1\ndays_other|2")
        self.assertEqual(self.db.ask("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'days'::regclass ORDER BY 1"),
                         f"days_{day(-1)}\ndays_{day(0)}\ndays_{day(1)}\ndays_other")
        self.wait_equal(lambda: self.db.ask("SELECT count(*), min(payload ->> 'device') FROM raw WHERE tableoid::regclass::text LIKE 'raw_2%'"), "5|a")
        # A day that is dropped is gone; its next row is kept all the same, and so is one of a day whose place is taken.
        self.db.ask(f"DROP TABLE days_{day(-1)}; CREATE TABLE days_old PARTITION OF days FOR VALUES FROM (now() - interval '4 days') TO (now() - interval '2 days')")
        for t in (now - 86400, now - 3 * 86400):
            self.publish("days/a", {"lat": 1.5, "lon": 2.5, "t": t})
        self.wait_equal(lambda: self.db.ask("SELECT count(*) FROM days"), "5")
        self.assertEqual(self.db.ask("SELECT count(*) FROM days_old"), "1")
        # Somebody reads for so long that no partition can be attached: the row waits for it.
        reader = threading.Thread(target=self.db.ask, args=("BEGIN; SELECT count(*) FROM days; SELECT pg_sleep(4); COMMIT",))
        reader.start()
        self.wait_equal(lambda: self.db.ask("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'BEGIN; SELECT count%'"), "1")
        self.publish("days/a", {"lat": 1.5, "lon": 2.5, "t": now - 10 * 86400})
        self.wait_equal(lambda: self.db.ask(f"SELECT count(*) FROM days_{day(-10)}"), "1")
        reader.join()

    def test_properties_of_sitewise_are_rows_of_postgresql(self):
        self.apply("sitewise", f"""
            CREATE TARGET plant AS postgres(match = 'iotSiteWise:*', host = '127.0.0.1', port = {self.db.port}, dbname = 'postgres', user = 'iot');
            CREATE RULE sitewise AS SELECT * FROM 'sitewise/+'
            DO iotSiteWise(putAssetPropertyValueEntries = [
              {{'propertyAlias': '/${{topic(2)}}/temp', 'propertyValues': [
                {{'timestamp': {{'timeInSeconds': '${{t}}', 'offsetInNanos': '500000000'}}, 'value': {{'doubleValue': '${{temp}}'}}, 'quality': 'GOOD'}}]}},
              {{'propertyAlias': '/${{topic(2)}}/on', 'propertyValues': [
                {{'timestamp': {{'timeInSeconds': '${{t}}'}}, 'value': {{'booleanValue': '${{on}}'}}}}]}}]);
        """)
        for temp in (20.5, 21.5):
            self.publish("sitewise/m1", {"temp": temp, "on": True, "t": 1700000000})
        self.wait_equal(lambda: self.db.ask("SELECT series, extract(epoch FROM time)::float8, quality, number, flag FROM property_values ORDER BY series"),
                        "/m1/on|1700000000|||t\n/m1/temp|1700000000.5|GOOD|21.5|")

    def test_notifications_and_queues_are_subjects_of_nats(self):
        listeners = []
        for subject in ("alarms", "jobs"):
            listeners.append(NatsClient(self.nats.port))
            self.addCleanup(listeners[-1].close)
            listeners[-1].subscribe(subject)
        self.apply("sns", f"""
            CREATE TARGET news AS nats(match = 'sns:arn:aws:sns:*', host = '127.0.0.1', port = {self.nats.port});
            CREATE TARGET work AS nats(match = 'sqs:*', host = '127.0.0.1', port = {self.nats.port});
            CREATE RULE sns AS SELECT * FROM 'sns/in'
            DO sns(targetArn = 'arn:aws:sns:us-east-1:000000000000:alarms', messageFormat = 'JSON');
            CREATE RULE sqs AS SELECT * FROM 'sqs/in'
            DO sqs(queueUrl = 'https://sqs.us-east-1.amazonaws.com/000000000000/jobs', useBase64 = TRUE);
        """)
        self.publish("sns/in", {"default": "for all", "email": "for mail"})
        self.assertEqual(listeners[0].next()[::2], ("alarms", b"for all"))
        self.publish("sqs/in", {"v": 1})
        self.assertEqual(listeners[1].next()[::2], ("jobs", base64.b64encode(b'{"v": 1}')))

    def test_streams_of_kinesis_are_streams_of_redis_or_subjects_of_nats(self):
        listener = NatsClient(self.nats.port)
        self.addCleanup(listener.close)
        listener.subscribe("orders-nats")
        self.apply("kinesis", f"""
            CREATE TARGET hub AS nats(match = 'kinesis:orders-n*', host = '127.0.0.1', port = {self.nats.port});
            CREATE TARGET log AS redis(match = 'kinesis:*', host = '127.0.0.1', port = {self.redis.port});
            CREATE RULE kinesis AS SELECT * FROM 'kinesis/in'
            DO kinesis(streamName = 'orders-${{to}}', partitionKey = 'k');
        """)
        self.publish("kinesis/in", {"to": "nats"})
        self.publish("kinesis/in", {"to": "redis"})
        subject, headers, payload = listener.next()
        self.assertEqual((subject, json.loads(payload)), ("orders-nats", {"to": "nats"}))
        self.assertIn("key: k", headers)
        self.wait_equal(lambda: self.redis.ask("XLEN", "orders-redis"), "1")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
