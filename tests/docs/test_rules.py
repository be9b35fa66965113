"""Runs what docs/rules.md shows, in its order, and looks at what it prints."""
import unittest

import test_docs


class Rules(unittest.TestCase):
    run_as_written = test_docs.Docs.run_as_written

    def test_rules_work_as_written(self):
        printed = self.run_as_written((test_docs.ROOT / "docs" / "rules.md").read_text())
        for expected in ("1 rule, 2 tests passed", "would run republish alerts/m1", "rule overheat is live", "CREATE RULE overheat",
                         "made rule copied", '"machine":"m1"', "plantdb is kept", "plantdb is deleted", "file overheat.jsonl",
                         '  out  {"temp":99,"machine":"m2"', "  do   republish alerts/m2", "no such table: readings",
                         '{"temp":20}', "1 on their way again", "\n20\n"):
            self.assertIn(expected, printed)


if __name__ == "__main__":
    unittest.main()
