#!/usr/bin/env python3
"""Kills `caffe2-quantize calibrate` at random moments and goes on, again and again.

    tests/tools/kill_loop.py [--kills N] [--seed N] [--program FILE] [--digits FOLDER]

After each kill every file that is left must be whole; each calibration that ends must have the profile of one that was
never killed, but for when and where (provenance). Every third kill is a SIGINT or a SIGTERM, after which the program
ends in order. Exit status 0 when all of that held. By default 20 kills, with CAFFE2_QUANTIZATION_LONG_TESTS=1 300.
"""
import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300 if os.environ.get("CAFFE2_QUANTIZATION_LONG_TESTS") == "1" else 20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--program", default=os.path.join(ROOT, "build/bin/caffe2-quantize"))
    parser.add_argument("--digits", default=os.path.join(ROOT, "examples/digits"))
    return parser.parse_args()


class KillLoop:
    def __init__(self, arguments, folder):
        self.program = arguments.program
        self.folder = folder
        digits = arguments.digits
        self.calibrate = [self.program, "calibrate", "--init", digits + "/init_net.pb",
                          "--predict", digits + "/predict_net.pb", "--data", digits + "/test_images.pb",
                          "--batch-size", "4", "--checkpoint-every", "1"]

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, name):
        return subprocess.Popen(self.calibrate + ["-o", self.path(name)], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def finish(self, process):
        error = process.communicate()[1]
        if process.returncode != 0:
            raise AssertionError("calibrate ended with %d: %s" % (process.returncode, error))

    def profile(self, name):
        with open(self.path(name)) as file:
            profile = json.load(file)
        del profile["provenance"]
        return profile

    def check_whole(self):
        """Every profile that is there can be read, whatever its name."""
        for name in os.listdir(self.folder):
            path = self.path(name)
            if name.endswith(".lock"):
                assert os.path.getsize(path) == 0, path
                continue
            with tempfile.NamedTemporaryFile() as merged:
                done = subprocess.run([self.program, "merge", path, "-o", merged.name], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True)
            whole = done.returncode == 0 or "is the checkpoint of an unfinished calibration" in done.stderr
            assert whole, "%s is broken: %s" % (path, done.stderr)


def main():
    arguments = parse_arguments()
    print("seed %d" % arguments.seed, flush=True)
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        loop = KillLoop(arguments, folder)
        begin = time.monotonic()
        loop.finish(loop.start("never_killed.json"))
        duration = time.monotonic() - begin
        expected = loop.profile("never_killed.json")

        kills = finished = resumed = 0
        while kills < arguments.kills:
            resumed += os.path.exists(loop.path("p.json.checkpoint"))
            process = loop.start("p.json")
            number = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT,
                                 signal.SIGTERM])
            try:
                process.wait(rng.uniform(0, 0.8 * duration))
            except subprocess.TimeoutExpired:
                process.send_signal(number)
            process.communicate()
            # Before the program has begun to catch them, signals end it as they end any.
            if process.returncode in (-number, 128 + number):
                kills += 1
                loop.check_whole()
                continue
            assert process.returncode == 0, process.returncode
            assert loop.profile("p.json") == expected, "another profile after %d kills" % kills
            finished += 1
            os.unlink(loop.path("p.json"))
        loop.finish(loop.start("p.json"))
        assert loop.profile("p.json") == expected, "another profile at the end"
        left = sorted(os.listdir(folder))
        assert left == ["never_killed.json", "p.json"], left
    print("%d kills, %d runs from a checkpoint, %d calibrations finished: one profile" % (kills, resumed, finished + 1))


if __name__ == "__main__":
    sys.exit(main())
