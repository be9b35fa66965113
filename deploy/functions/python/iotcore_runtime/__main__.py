import os
import sys

from iotcore_runtime import run

name = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("_HANDLER")
if not name:
    sys.exit("usage: python3 -m iotcore_runtime MODULE.FUNCTION")
run(name)
