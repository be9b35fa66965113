"""Positions in a database that has PostGIS (Debian's postgresql-15-postgis-3)."""
import unittest

from sinks import SinkCase
import targets


class PostgisSink(SinkCase):
    @classmethod
    def setUpClass(cls):
        cls.db = targets.Postgres()
        cls.addClassCleanup(cls.db.close)
        if cls.db.ask("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'") != "1":
            raise unittest.SkipTest("postgresql-15-postgis-3 is not installed")
        cls.start_server()

    def test_positions_are_points_of_postgis(self):
        self.db.ask("CREATE DATABASE gis")
        ask = lambda sql: self.db.ask(sql, "gis")  # noqa: E731
        ask("CREATE SCHEMA ext; CREATE EXTENSION postgis SCHEMA ext")
        self.apply("gis", f"""
            CREATE TARGET gis AS postgres(match = 'location:gis', host = '127.0.0.1', port = {self.db.port}, dbname = 'gis', user = 'iot');
            CREATE RULE gis AS SELECT * FROM 'gis/+'
            DO location(trackerName = 'gis', deviceId = '${{topic(2)}}', latitude = '${{lat}}', longitude = '${{lon}}');
        """)
        for n in range(20):
            self.publish("gis/a", {"lat": 48.5, "lon": 11.5})
        self.wait_equal(lambda: ask("SELECT DISTINCT device, latitude, longitude, ext.ST_AsText(position), ext.ST_SRID(position::ext.geometry) FROM gis"),
                        "a|48.5|11.5|POINT(11.5 48.5)|4326")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
