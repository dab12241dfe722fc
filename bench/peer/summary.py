"""Reads the lines of JSON that both tools printed, and prints the ratios.

usage: summary.py RESULTS.jsonl
"""

import json
import os
import platform
import statistics
import sys

MEASURES = [
    ("stepMillis", "step, ms", "{:.0f}"),
    ("peakMemoryMegabytes", "peak memory, MB", "{:.0f}"),
    ("startupSeconds", "start to first step, s", "{:.2f}"),
]


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            lines = file.read().splitlines()
        name = next(l.split(":", 1)[1].strip() for l in lines if l.startswith("model name"))
        flags = next(l for l in lines if l.startswith("flags")).split()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
    return name + (" with AMX bfloat16" if "amx_bf16" in flags else " without AMX bfloat16")


def main():
    with open(sys.argv[1]) as file:
        results = [json.loads(line) for line in file]
    print(f"{processor()}, {os.cpu_count()} cores")
    print(f"{'':24}{'HF PEFT':>22}{'peft4j':>22}{'ratio':>8}")
    for key, title, form in MEASURES:
        cells, middles = [], []
        for tool in ("peft", "peft4j"):
            values = [r[key] for r in results if r["tool"] == tool]
            middles.append(statistics.median(values))
            shown = [form.format(v) for v in (middles[-1], min(values), max(values))]
            cells.append(f"{shown[0]} ({shown[1]}..{shown[2]})")
        ratio = middles[1] / middles[0]
        print(f"{title:24}{cells[0]:>22}{cells[1]:>22}{ratio:8.2f}")


if __name__ == "__main__":
    main()
