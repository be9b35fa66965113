"""Rules that write to PostgreSQL: the real server, killed while rows are on their way, and rows that it refuses."""
import json
import signal
import unittest

from server import wait_until
from sinks import SinkCase
import targets

COUNT = 600


class PostgresSink(SinkCase):
    @classmethod
    def setUpClass(cls):
        cls.db = targets.Postgres()
        cls.addClassCleanup(cls.db.close)
        cls.start_server()

    def rule(self, name, text):
        self.apply(name, f"CREATE TARGET {name}db AS postgres(host = '127.0.0.1', port = {self.db.port}, dbname = 'postgres',"
                         f" user = 'iot');\nCREATE RULE {name} AS {text};")

    def test_members_go_to_columns_of_their_type(self):
        self.db.ask("CREATE TABLE typed(device text, temp float8, n int, at timestamptz, tags text[], extra jsonb,"
                    " received_at timestamptz, delivery_id text UNIQUE)")
        self.rule("typed", "SELECT *, topic(2) AS device FROM 'typed/+' DO postgres(target = 'typeddb', table = 'typed')")
        self.publish("typed/a", {"temp": 21.5, "n": 7.0, "at": 1700000000123, "tags": ["x", "y\"z"], "extra": {"k": "v\t\n"}})
        self.publish("typed/b", {"temp": None, "extra": "text"})
        self.wait_equal(lambda: self.db.ask("SELECT count(*) FROM typed"), "2")
        self.assertEqual(
            self.db.ask("SELECT device, temp, n, at AT TIME ZONE 'UTC', tags[2], extra ->> 'k' = E'v\\t\\n',"
                        " received_at > now() - interval '1 min', delivery_id LIKE '%:typed:0' FROM typed WHERE device = 'a'"),
            'a|21.5|7|2023-11-14 22:13:20.123|y"z|t|t|t')
        self.assertEqual(self.db.ask("SELECT device, temp, extra FROM typed WHERE device = 'b'"), 'b||"text"')

    def test_a_table_that_is_not_there_is_made_and_a_new_column_is_seen(self):
        self.rule("made", "SELECT * FROM 'made/in' DO postgres(target = 'madedb', table = 'made_${a}')"
                          " ON ERROR DO republish(topic = 'made/failed', qos = 1)")
        self.publish("made/in", {"a": 1, "b": [1, 2]})
        self.wait_equal(lambda: self.db.ask("SELECT payload -> 'b' ->> 1 FROM made_1"), "2")
        self.db.ask("CREATE TABLE made_2(a int)")
        failed = self.failures("made/failed")
        self.publish("made/in", {"a": 2, "b": 3})
        self.assertIn(b"has no column b", failed.wait(1)[0].payload)
        self.db.ask("ALTER TABLE made_2 ADD COLUMN b int")
        self.publish("made/in", {"a": 2, "b": 4})
        self.wait_equal(lambda: self.db.ask("SELECT a, b FROM made_2"), "2|4")

    def test_statements_upserts_and_chosen_columns(self):
        self.db.ask("CREATE TABLE latest(device text PRIMARY KEY, v int)")
        self.db.ask("CREATE TABLE log(m text, v int)")
        self.rule("chosen", """SELECT * FROM 'chosen/+'
            DO postgres(target = 'chosendb', table = 'latest', columns = {'device': '${topic(2)}', 'v': '${v}'}, onConflict = ['device'])
            DO postgres(target = 'chosendb', statement = 'INSERT INTO log SELECT ${topic(2)}, ${v} WHERE ${v}::int > 1')""")
        for value in range(4):
            self.publish("chosen/a'b", {"v": value})
        self.wait_equal(lambda: self.db.ask("SELECT device, v FROM latest"), "a'b|3")
        self.wait_equal(lambda: self.db.ask("SELECT count(*), min(v) FROM log"), "2|2")

    def test_a_row_that_is_refused_goes_to_the_error_action_and_others_through(self):
        self.db.ask("CREATE TABLE checked(v int CHECK (v <> 13))")
        self.rule("checked", "SELECT v FROM 'checked/in' DO postgres(target = 'checkeddb', table = 'checked')"
                             " ON ERROR DO republish(topic = 'checked/failed', qos = 1)")
        failed = self.failures("checked/failed")
        for value in list(range(40)) + ["text"]:
            self.client.client.publish("checked/in", '{"v": "%s"}' % value, qos=1)
        self.wait_equal(lambda: self.db.ask("SELECT count(*), max(v) FROM checked"), "39|39")
        reasons = b"".join(message.payload for message in failed.wait(2))
        self.assertIn(b"checked_v_check", reasons)
        self.assertIn(b"invalid input syntax", reasons)

    def test_rows_that_are_refused_in_a_large_batch_are_found_and_the_others_written_in_order(self):
        self.db.ask("CREATE TABLE large(id serial, n int, UNIQUE (n) DEFERRABLE INITIALLY DEFERRED)")
        self.rule("large", "SELECT n FROM 'large/in' DO postgres(target = 'largedb', table = 'large') WITH (lingerMs = 3000, batchSize = 5000)"
                           " ON ERROR DO republish(topic = 'large/failed', qos = 1)")
        failed = self.failures("large/failed")
        wrong = {500: "text", 501: "text", 1700: "text", 2500: 40}  # the last is found by the commit alone
        infos = [self.client.client.publish("large/in", json.dumps({"n": wrong.get(n, n)}), qos=1) for n in range(3000)]
        for info in infos:
            info.wait_for_publish(60)
        self.wait_equal(lambda: self.db.ask("SELECT count(*), array_agg(n ORDER BY id) = array_agg(n ORDER BY n) FROM large"), "2996|t")
        reasons = b"".join(message.payload for message in failed.wait(4))
        self.assertEqual((reasons.count(b"invalid input syntax"), reasons.count(b"large_n_key")), (3, 1))
        self.assertEqual(self.db.ask("SELECT count(DISTINCT xmin::text) < 200 FROM large"), "t")  # and not row by row

    def test_rows_that_overwrite_one_another_go_out_together(self):
        """In one statement for all of a shape: the last of each key is what stays, whatever came between."""
        self.db.ask("CREATE TYPE mood AS ENUM ('well', 'ill')")
        self.db.ask("CREATE TABLE state(id int PRIMARY KEY, n int CHECK (n <> 131313), at timestamptz, tags text[], extra jsonb, m mood, code char(3),"
                    " short varchar(4), x numeric, ok bool, other text)")
        self.rule("state", "SELECT * FROM 'state/in' DO postgres(target = 'statedb', table = 'state', onConflict = ['id'])"
                           " WITH (lingerMs = 2000, batchSize = 5000) ON ERROR DO republish(topic = 'state/failed', qos = 1)")
        failed = self.failures("state/failed")
        wrong = {700: {"n": 131313}, 1500: {"m": "neither"}, 1501: {"short": "too long"}}
        infos = []
        for n in range(2000):
            row = {"id": n % 100, "n": n, "at": 1700000000000 + n, "tags": ["a\"b", "c\\d", "{e,f}"], "extra": {"k": "v\t\"\n\\"}, "m": "well", "code": "ab",
                   "short": "x", "x": 1.50, "ok": n % 2 == 0} if n % 3 else {"id": n % 100, "n": n, "other": "o"}
            infos.append(self.client.client.publish("state/in", json.dumps(row | wrong.get(n, {})), qos=1))
        for info in infos:
            info.wait_for_publish(60)
        self.wait_equal(lambda: self.db.ask("SELECT count(*), min(n), max(n), bool_and(n % 100 = id) FROM state"), "100|1900|1999|t")
        self.assertEqual(self.db.ask(r"""SELECT count(*), count(DISTINCT xmin::text) < 30 FROM state WHERE tags = ARRAY['a"b', E'c\\d', '{e,f}'] AND m = 'well'
            AND extra ->> 'k' = E'v\t"\n\\' AND code = 'ab' AND other = 'o' AND x = 1.5"""), "100|t")
        self.assertEqual(self.db.ask("SELECT extract(epoch FROM at) * 1000 - n FROM state WHERE id = 99"), "1700000000000.000000")
        reasons = [message.payload for message in failed.wait(3)]
        for part in (b"state_n_check", b"enum mood", b"too long"):
            self.assertEqual(sum(part in reason for reason in reasons), 1, part)

    def test_keys_that_are_one_for_postgresql_alone_overwrite_one_another_in_order(self):
        self.db.ask("CREATE TABLE numbers(id numeric PRIMARY KEY, n int)")
        self.db.ask("CREATE TABLE loose(id int UNIQUE, n int)")
        self.db.ask("CREATE TABLE first(id int PRIMARY KEY, n int)")
        self.rule("numbers", """SELECT id, n FROM 'numbers/in'
            DO postgres(target = 'numbersdb', table = 'numbers', onConflict = ['id']) WITH (lingerMs = 1000)
            DO postgres(target = 'numbersdb', table = 'loose', columns = {'id': '${CASE n % 2 WHEN 0 THEN 7 END}', 'n': '${n}'}, onConflict = ['id'])
            DO postgres(target = 'numbersdb', table = 'first', columns = {'id': '1', 'n': '${n}'}, onConflict = 'ignore')""")
        for n in range(30):
            self.publish("numbers/in", {"id": "1" if n % 2 else "1.0", "n": n})
        self.wait_equal(lambda: self.db.ask("SELECT count(*), max(n) FROM numbers"), "1|29")
        self.wait_equal(lambda: self.db.ask("SELECT count(*), count(id), max(n) FROM loose"), "16|1|29")
        self.assertEqual(self.db.ask("SELECT n FROM loose WHERE id = 7"), "28")
        self.assertEqual(self.db.ask("SELECT count(*), min(n) FROM first"), "1|0")

    def test_nothing_is_lost_repeated_or_reordered_when_the_server_is_killed(self):
        self.db.ask("CREATE TABLE kept(id serial, n int)")
        self.rule("kept", "SELECT n FROM 'kept/in' DO postgres(target = 'keptdb', table = 'kept', columns = ['n']) WITH (retryMax = 500)")
        self.load_while_killed("kept/in", self.db, COUNT, lambda: self.db.ask("SELECT count(*) > 0 FROM kept") == "t")
        self.wait_equal(lambda: self.db.ask("SELECT count(*), count(DISTINCT n) FROM kept"), f"{COUNT}|{COUNT}")
        self.assertEqual(
            self.db.ask("SELECT count(*) FROM (SELECT n, lag(n) OVER (ORDER BY id) AS before FROM kept) AS x WHERE n < before"), "0")

    def test_a_server_that_hangs_holds_nothing_up_and_what_it_does_late_does_not_count(self):
        self.db.ask("CREATE TABLE slow(id serial, n int)")
        self.apply("slow", f"CREATE TARGET slowdb AS postgres(host = '127.0.0.1', port = {self.db.port}, dbname = 'postgres', user = 'iot',"
                           " timeout = '300ms', connectTimeout = '300ms');\nCREATE RULE slow AS SELECT n FROM 'slow/in'"
                           " DO postgres(target = 'slowdb', table = 'slow', columns = ['n']) WITH (retryMax = 200, batchSize = 20);")
        self.publish("slow/in", {"n": 0})
        self.wait_equal(lambda: self.db.ask("SELECT count(*) FROM slow"), "1")
        for first in (1, 101):
            infos = [self.client.client.publish("slow/in", '{"n": %d}' % n, qos=1) for n in range(first, first + 100)]
            self.db.signal(signal.SIGSTOP)
            for info in infos:
                info.wait_for_publish(60)  # acknowledged although the database hangs
                self.assertTrue(info.is_published())
            wait_until(lambda: "sink.down" in self.server.read_log())
            self.db.signal(signal.SIGCONT)
            self.wait_equal(lambda: self.db.ask("SELECT count(*), count(DISTINCT n) FROM slow"), f"{first + 100}|{first + 100}")
        self.assertEqual(self.db.ask("SELECT array_agg(n ORDER BY id) = array_agg(n ORDER BY n) FROM slow"), "t")

    def test_what_is_wrong_with_a_rule_is_told(self):
        for text, message in [
            ("postgres(target = 'nodb', table = 't')", "there is no target 'nodb'"),
            ("postgres(target = 'p', table = 't', tabel = 't')", "did you mean table?"),
            ("postgres(target = 'p')", "needs one of table and statement"),
            ("postgres(target = 'p', statement = 'COMMIT')", "a batch is one transaction"),
            ("postgres(target = 'p', statement = 'SELECT ''${v}''')", "stands in quotes"),
            ("postgres(target = 'p', table = 't', onConflict = 'what')", "must be 'ignore' or the list"),
        ]:
            self.refused(f"CREATE TARGET p AS postgres(host = 'h', dbname = 'd');\nCREATE RULE wrong AS SELECT * FROM 'a' DO {text};", message)
        self.refused("CREATE TARGET p AS postgres(host = 'h', ca = '/x');", "tls = TRUE")
        self.refused("CREATE TARGET p AS postgres(url = 'http://h');", "begins with postgresql://")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
