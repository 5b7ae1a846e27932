#!/usr/bin/env python3
"""Measures how much a busy neighbour slows chainrule's step down.

Runs chainrule-bench alone and beside a spinning process on one core, then on each, turn by turn, and
prints the medians over the rounds. A fair share of a core that two processes want is a half, so about 2
is what the neighbour costs in steps a second; far more means that threads wait for each other while the
neighbour runs.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from compare import print_table, run_ours
from workloads import WORKLOADS

SPIN = "while True: pass"


def measure(options, workload, threads, neighbours):
    """(median_us, p90_us, µs of the whole run for each step) beside that many spinning processes,
    each on a core of its own."""
    spinning = []
    try:
        for core in sorted(os.sched_getaffinity(0))[:neighbours]:
            pin = f"import os; os.sched_setaffinity(0, [{core}])\n"
            spinning.append(subprocess.Popen([sys.executable, "-c", pin + SPIN]))
        run = run_ours(options.bench, workload, threads, options.seconds)
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    return run["median_us"], run["p90_us"], options.seconds * 1e6 / run["steps"]


def main():
    parser = argparse.ArgumentParser(description="measures what a busy neighbour costs a step")
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--bench", type=Path, default=Path(__file__).resolve().parent.parent
                        / "build" / "release" / "chainrule-bench")
    options = parser.parse_args()

    cores = len(os.sched_getaffinity(0))
    rows = []
    for workload in options.workloads:
        for threads in options.threads:
            for neighbours in dict.fromkeys((1, cores)):
                alone, beside = [], []
                for _ in range(options.rounds):
                    alone.append(measure(options, workload, threads, 0))
                    beside.append(measure(options, workload, threads, neighbours))
                cells = []
                for which in (0, 1, 2):
                    quiet = statistics.median(run[which] for run in alone)
                    busy = statistics.median(run[which] for run in beside)
                    cells += [f"{quiet:.2f}", f"{busy:.2f}", f"{busy / quiet:.2f}"]
                rows.append([workload, str(threads), f"{neighbours} of {cores}", *cells])
    print_table(["workload", "threads", "busy cores",
                 "median µs alone", "beside", "ratio", "p90 µs alone", "beside", "ratio",
                 "run µs/step alone", "beside", "ratio"], rows)


if __name__ == "__main__":
    main()
