#!/usr/bin/env python3
"""Which method chooses the better quantization parameters? Measured on real nets.

Run it from the top of the checkout, with the plugin built, in the project's virtual
environment plus three packages, of which mtcnn and scikit-image are used for their
data alone:

    .deps/tools/bin/python -m pip --python .deps/venv/bin/python install \\
        scikit-learn==1.6.1 'numpy<1.23'
    .deps/tools/bin/python -m pip --python .deps/venv/bin/python install --no-deps \\
        mtcnn==0.1.1 scikit-image==0.18.3
    .deps/venv/bin/python benchmarks/choosing/experiment.py --json choosing.json

The nets are those of nets.py. Each is computed by Caffe2 in float, operator by
operator; what is quantized, weights before the run or an operator's output after it,
is replaced by the floats that its codes stand for. Parameters come from calibration
data, accuracy and SQNR from test data. SQNR compares the net's output (logits) with
that of the float net, over the whole test set, in dB.

Tables are printed as Markdown; --json has all figures. docs/choosing.md discusses
them.
"""

import argparse
import collections
import json
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(CHECKOUT, "python"))
sys.path.insert(0, HERE)

import caffe2_quantization  # noqa: E402
from caffe2.python import workspace  # noqa: E402
from caffe2_quantization import choose  # noqa: E402

import nets as real_nets  # noqa: E402

NETS = ["digits", "separable", "lstm", "tabular", "pnet", "rnet", "onet"]
ACTIVATION_METHODS = ["MIN_MAX", "MSE", "L2", "L2_APPROX", "L1", "KL", "P99.99", "P99.9", "P99"]
BIN_METHODS = ["MSE", "L2", "L1", "KL", "P99.9"]
BINS = [64, 128, 256, 512, 1024, 2048, 4096]
IMAGE_METHODS = ["MIN_MAX", "MSE", "P99.9"]
IMAGES = [1, 2, 4, 8, 16, 32, 64, 128, None]  # None: all

# Operators that pass values on: their outputs keep the parameters of their inputs.
PASSING = {"MaxPool", "Flatten", "Reshape", "Split", "Transpose"}

Result = collections.namedtuple("Result", "sqnr accuracy")


class Experiment(object):
    """One net, its float results, and runs of it with something quantized."""

    def __init__(self, net, seed=0):
        self.net = net
        order = np.random.RandomState(seed).permutation(len(net.calibration))
        self.blobs = self.quantized_blobs()
        # What activations are chosen from, in an order that mixes the classes.
        self.values = self.compute(net.calibration[order], keep=self.blobs)
        self.exact = self.outputs()
        # Kept: what was chosen, counted, and quantized.
        self.chosen = {}
        self.counted = {}
        self.changed = {}

    def quantized_blobs(self):
        """The activations that an int8 net keeps as codes: not those that pass values on,
        not those that are only rectified next (one fused operator), not the output."""
        readers = collections.defaultdict(set)
        for op in self.net.ops:
            for name in op.input:
                readers[name].add(op.type)
        blobs = [self.net.input]
        for op in self.net.ops:
            if op.type in PASSING or readers[op.output[0]] == {"Relu"}:
                continue
            blobs.append(op.output[0])
        blobs.remove(self.net.output)
        return blobs

    def compute(self, images, keep, weights=None, activations=None):
        """Runs the net; returns {name: value} of the blobs `keep`.

        weights: {name: float array} in place of the net's own.
        activations: {name: Choice and bits}: the blobs that are quantized.
        """
        workspace.ResetWorkspace()
        for name, value in dict(self.net.parameters, **(weights or {})).items():
            workspace.FeedBlob(name, value)
        activations = activations or {}
        kept = {}

        def finish(name):
            if name in activations:
                choice, bits = activations[name]
                workspace.FeedBlob(name, represented(workspace.FetchBlob(name), choice,
                                                     0, 2 ** bits - 1))
            if name in keep:
                kept[name] = workspace.FetchBlob(name)

        workspace.FeedBlob(self.net.input, images)
        finish(self.net.input)
        for op in self.net.ops:
            workspace.RunOperatorOnce(op)
            for name in op.output:
                finish(name)
        return kept

    def outputs(self, weights=None, activations=None):
        """The logits of the test data, [N, classes]."""
        name = self.net.output
        values = self.compute(self.net.test, [name], weights, activations)[name]
        return values.reshape(len(values), -1)

    def result(self, weights=None, activations=None):
        output = self.outputs(weights, activations)
        return Result(sqnr(self.exact, output), self.accuracy(output))

    def accuracy(self, output):
        return float(np.mean(np.argmax(output, axis=1) == self.net.labels))

    def activations(self, method, bits=8, bins=None, images=None):
        """{blob: (Choice, bits)} for all activations."""
        return {name: (self.choose_activation(name, method, bits, bins, images), bits)
                for name in self.blobs}

    def choose_activation(self, name, method, bits, bins, images):
        key = (name, method, bits, bins, images)
        if key not in self.chosen:
            values = self.values[name] if images is None else self.values[name][:images]
            if bins is None:
                choice = choose.from_array(values, method=method, precision=bits)
            else:
                counts, low, high = self.count(name, values, bins, images)
                choice = choose.from_counts(counts, low, high, method=method, precision=bits)
            self.chosen[key] = choice
        return self.chosen[key]

    def count(self, name, values, bins, images):
        key = (name, bins, images)
        if key not in self.counted:
            low, high = float(values.min()), float(values.max())
            self.counted[key] = np.histogram(values, bins, (low, high))[0], low, high
        return self.counted[key]

    def weights(self, method, bits, by_channel, symmetric, centred=False):
        """{name: what the quantized weights stand for}.

        centred: of each output channel, less the mean of its errors. No code can stand for
        that, but a net whose bias takes it up computes nearly so.
        """
        if centred:
            quantized = self.weights(method, bits, by_channel, symmetric)
            return {name: value + self.mean_error(name, value)
                    for name, value in quantized.items()}
        key = (method, bits, by_channel, symmetric)
        if key not in self.changed:
            self.changed[key] = self.quantize_weights(*key)
        return self.changed[key]

    def mean_error(self, name, value):
        """Of each output channel, in a shape to be added to the weights."""
        axis = self.net.weights[name]
        others = tuple(i for i in range(value.ndim) if i != axis)
        error = self.net.parameters[name].astype(np.float64) - value
        return error.mean(axis=others, keepdims=True).astype(np.float32)

    def weights_sqnr(self, values):
        """Of all weights of the net together."""
        return sqnr(*[np.concatenate([source[name].ravel() for name in sorted(values)])
                      for source in (self.net.parameters, values)])

    def quantize_weights(self, method, bits, by_channel, symmetric):
        changed = {}
        for name, axis in self.net.weights.items():
            weight = self.net.parameters[name]
            channels = np.moveaxis(weight, axis, 0) if by_channel else weight[np.newaxis]
            quantized = []
            for channel in channels:
                choice = choose.from_array(
                    channel, method=method, precision=bits, is_signed=True,
                    preserve_sparsity=symmetric)
                quantized.append(represented(channel, choice, -2 ** (bits - 1),
                                             2 ** (bits - 1) - 1))
            changed[name] = (np.moveaxis(np.stack(quantized), 0, axis) if by_channel
                             else quantized[0])
        return changed


def represented(values, choice, qmin, qmax):
    """What the codes of the values stand for."""
    codes = np.rint(values.astype(np.float64) / choice.scale) + choice.zero_point
    codes = np.clip(codes, qmin, qmax)
    return ((codes - choice.zero_point) * choice.scale).astype(np.float32)


def sqnr(exact, quantized):
    exact, quantized = exact.astype(np.float64), quantized.astype(np.float64)
    error = np.sum((exact - quantized) ** 2)
    return float(10 * np.log10(np.sum(exact ** 2) / error)) if error else float("inf")


# --- Tables -------------------------------------------------------------------


class Report(object):
    """Runs settings on every net and prints tables of the results, as it goes."""

    def __init__(self, experiments):
        self.experiments = experiments
        self.figures = []

    def table(self, title, settings, run):
        """A row a setting, a column a net.

        settings: [(label, arguments)]; run(experiment, *arguments) -> Result.
        """
        names = [e.net.name for e in self.experiments]
        rows = [(label, self.results(title, label, run, arguments))
                for label, arguments in settings]
        print("\n### %s: SQNR of the output, dB\n" % title)
        head([""] + names + ["mean", "worst"])
        for label, results in rows:
            figures = [r.sqnr for r in results]
            line([label] + ["%.1f" % x for x in figures + [np.mean(figures), min(figures)]])
        print("\n### %s: accuracy, %%\n" % title)
        head([""] + names + ["mean"])
        floats = [e.accuracy(e.exact) for e in self.experiments]
        for label, figures in [("float", floats)] + [
                (label, [r.accuracy for r in results]) for label, results in rows]:
            line([label] + ["%.1f" % (100 * x) for x in figures + [np.mean(figures)]])
        sys.stdout.flush()

    def own_table(self, title, settings, figure):
        """The same for any figure: figure(experiment, *arguments)."""
        print("\n### %s\n" % title)
        head([""] + [e.net.name for e in self.experiments] + ["mean"])
        for label, arguments in settings:
            figures = [figure(e, *arguments) for e in self.experiments]
            self.figures.append({
                "table": title, "setting": label,
                "nets": {e.net.name: x for e, x in zip(self.experiments, figures)}})
            line([label] + ["%.1f" % x for x in figures + [np.mean(figures)]])
        sys.stdout.flush()

    def grid(self, title, columns, rows, run):
        """A row a method and a column a number; means over the nets, and the worst net.

        run(experiment, row, column) -> Result.
        """
        print("\n### %s: mean SQNR, dB (of the worst net); mean accuracy, %%\n" % title)
        head([""] + [str(column or "all") for column in columns])
        for row in rows:
            cells = []
            for column in columns:
                results = self.results(title, "%s, %s" % (row, column or "all"), run,
                                       (row, column))
                figures = [r.sqnr for r in results]
                cells.append("%.1f (%.1f); %.1f" % (
                    np.mean(figures), min(figures), 100 * np.mean([r.accuracy for r in results])))
            line([row] + cells)
        sys.stdout.flush()

    def results(self, title, label, run, arguments):
        results = []
        for experiment in self.experiments:
            progress("%s, %s, %s" % (title, label, experiment.net.name))
            results.append(run(experiment, *arguments))
        progress(None)
        self.figures.append({
            "table": title, "setting": label,
            "nets": {e.net.name: r._asdict() for e, r in zip(self.experiments, results)}})
        return results


def head(cells):
    line(cells)
    line(["---"] + ["---:"] * (len(cells) - 1))


def line(cells):
    print("| %s |" % " | ".join(cells))


def progress(text):
    """One line on a terminal, overwritten each time (None removes it); else nothing."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + (text or ""))
        sys.stderr.flush()


# --- The experiments ----------------------------------------------------------


def compare_activations(report, bits):
    report.table("Activations in %d bits, weights in float" % bits,
                 [(method, (method,)) for method in ACTIVATION_METHODS],
                 lambda e, method: e.result(activations=e.activations(method, bits)))


def compare_weights(report, bits):
    settings = []
    for by_channel in (False, True):
        granularity = "channel" if by_channel else "tensor"
        for method, symmetric in (("MIN_MAX", False), ("MSE", False), ("MIN_MAX", True),
                                  ("MSE", True), ("L2", True), ("L1", True), ("KL", True)):
            settings.append(("%s, %s, %s" % (granularity, method,
                                             "symmetric" if symmetric else "asymmetric"),
                             (method, by_channel, symmetric, False)))
    settings += [("channel, %s, symmetric, centred" % method, (method, True, True, True))
                 for method in ("MIN_MAX", "MSE")]

    def weights(e, method, by_channel, symmetric, centred):
        return e.weights(method, bits, by_channel, symmetric, centred)

    title = "Weights in %d bits" % bits
    report.table(title + ", activations in float", settings,
                 lambda e, *setting: e.result(weights=weights(e, *setting)))
    report.own_table(title + ": SQNR of the weights themselves, dB", settings,
                     lambda e, *setting: e.weights_sqnr(weights(e, *setting)))


def compare_bins(report, bits):
    report.grid("Bins, activations in %d bits" % bits, BINS, BIN_METHODS,
                lambda e, method, bins: e.result(
                    activations=e.activations(method, bits, bins=bins)))


def compare_images(report, bits):
    report.grid("Calibration images, activations in %d bits" % bits, IMAGES, IMAGE_METHODS,
                lambda e, method, images: e.result(
                    activations=e.activations(method, bits, images=images)))


def compare_both(report, bits):
    settings = [
        ("%s; %s %s" % (activation, "channel" if by_channel else "tensor", weight),
         (activation, weight, by_channel))
        for activation, weight, by_channel in (
            ("MIN_MAX", "MIN_MAX", False), ("MIN_MAX", "MIN_MAX", True),
            ("MSE", "MIN_MAX", True), ("MSE", "MSE", True), ("L2", "MIN_MAX", True),
            ("L2", "MSE", True), ("L2_APPROX", "MSE", True), ("MIN_MAX", "MSE", True),
            ("L1", "MSE", True), ("KL", "MSE", True),
            ("P99.99", "MSE", True), ("P99", "MSE", True))]
    report.table("Both in %d bits (activations; symmetric weights)" % bits, settings,
                 lambda e, activation, weight, by_channel: e.result(
                     weights=e.weights(weight, bits, by_channel, True),
                     activations=e.activations(activation, bits)))


EXPERIMENTS = collections.OrderedDict([
    ("activations", compare_activations), ("weights", compare_weights),
    ("both", compare_both), ("bins", compare_bins), ("images", compare_images)])


def main():
    parser = argparse.ArgumentParser(
        description="Compare methods of choosing quantization parameters on real nets.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=NETS, choices=NETS, metavar="NET",
                        help="of %s" % ", ".join(NETS))
    parser.add_argument("--experiments", nargs="+", default=list(EXPERIMENTS),
                        choices=list(EXPERIMENTS), metavar="NAME",
                        help="of %s" % ", ".join(EXPERIMENTS))
    parser.add_argument("--bits", nargs="+", type=int, default=[8, 4], metavar="N")
    parser.add_argument("--cache", default=os.path.join(CHECKOUT, "build", "choosing"),
                        help="folder of the nets trained here")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--plugin", metavar="FILE", help="another libcaffe2_quantization.so")
    args = parser.parse_args()

    # One thread, so that sums are always formed in the same order.
    workspace.GlobalInit(["experiment.py", "--caffe2_log_level=3",
                          "--caffe2_omp_num_threads=1", "--caffe2_mkl_num_threads=1"])
    caffe2_quantization.load(args.plugin)
    report = Report([Experiment(net) for net in real_nets.load(args.nets, args.cache)])
    for name in args.experiments:
        for bits in args.bits:
            EXPERIMENTS[name](report, bits)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(report.figures, f, indent=1)


if __name__ == "__main__":
    main()
