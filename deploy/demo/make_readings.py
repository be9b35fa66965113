#!/usr/bin/python3
"""Makes readings.csv: 360 minutes of ten machines, with faults that a rule can find. The same file every time."""
import csv
import math
import random
import sys

MACHINES = [f"machine-{n:02d}" for n in range(1, 11)]
MINUTES = 360

# machine, first minute, minutes, what happens: added temperature, added vibration
FAULTS = [
    ("machine-03", 95, 24, 22.0, 1.1),    # a bearing runs hot and shakes
    ("machine-07", 180, 40, 17.0, 0.0),   # its fan stops
    ("machine-07", 300, 12, 26.0, 0.2),   # and stops again
    ("machine-10", 240, 8, 30.0, 2.4),    # a jam
]


def reading(rng, index, machine, minute):
    warm = 1 - math.exp(-minute / 40)
    day = math.sin(minute / MINUTES * math.pi)
    temperature = 42 + index * 1.1 + 9 * warm + 3 * day + rng.gauss(0, 0.6)
    humidity = 48 - 6 * day + index * 0.4 + rng.gauss(0, 0.8)
    vibration = 0.35 + 0.03 * index + abs(rng.gauss(0, 0.04))
    for name, start, length, heat, shake in FAULTS:
        if name == machine and start <= minute < start + length:
            rise = min(1.0, (minute - start + 1) / 5)
            temperature += heat * rise
            vibration += shake * rise * rng.uniform(0.8, 1.2)
    return round(temperature, 1), round(humidity, 1), round(vibration, 3)


def main():
    rng = random.Random(20261123)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["minute", "machine", "temperature", "humidity", "vibration"])
    for minute in range(MINUTES):
        for index, machine in enumerate(MACHINES):
            out.writerow([minute, machine, *reading(rng, index, machine, minute)])


if __name__ == "__main__":
    main()
