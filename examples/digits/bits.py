#!/usr/bin/env python3
"""What fewer bits cost: the digits network with its weights as QTensors.

    .deps/venv/bin/python examples/digits/bits.py                # tables in Markdown
    .deps/venv/bin/python examples/digits/bits.py --json FILE    # and all figures, - for stdout

Every weight becomes a QTensor of 8, 4, 2 and 1 bits, with one scale or one for
each output channel, and QTensorDequantize makes floats of it again; biases stay
floats. The network then reads the 540 test images. In the second part fc1 and fc2
are computed by QTensorFC, on the bits themselves.

The plugin is found as caffe2_quantization.load() finds it. Two runs on one
machine print the same.
"""

import argparse
import json
import os
import sys

import numpy as np

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(os.path.dirname(FOLDER)), "python"))

from caffe2.proto import caffe2_pb2  # noqa: E402
from caffe2.python import core, utils, workspace  # noqa: E402

import caffe2_quantization  # noqa: E402
from caffe2_quantization import qtensor  # noqa: E402

INPUT, LOGITS, OUTPUT = "data", "fc2", "softmax"
GRID = 200  # scales that a search tries


# --- Weights to QTensors ------------------------------------------------------


def by_max(weight, precision, axis):
    """Signed, the largest magnitude gets the largest integer: the operator's default."""
    return qtensor.from_numpy(weight, precision, axis=axis)


def by_search(weight, precision, axis):
    """Signed, with the scale of the least squared error of GRID equally spaced ones.

    The largest scale tried is that of by_max; a smaller one cuts off the largest
    weights and is finer for all others.
    """
    rows = rows_of(weight, axis)
    largest = 2 ** precision - 1
    top = np.abs(rows).max(axis=1, keepdims=True) / largest
    top[top == 0] = 1
    best = np.full(len(rows), np.inf)
    scales = np.empty(len(rows))
    for step in range(1, GRID + 1):
        scale = top * step / GRID
        x = np.clip(np.rint(rows / scale), -largest, largest)
        error = ((scale * x - rows) ** 2).sum(axis=1)
        better = error < best
        best[better] = error[better]
        scales[better] = scale[better, 0]
    return qtensor.from_numpy(weight, precision, axis=axis, scale=one_or_all(scales, axis))


def two_values(weight, precision, axis):
    """Without signs, x - 1/2 times 2a: -a and a, where a is the mean magnitude.

    That is the a of the least squared error; no search is needed.
    """
    a = np.abs(rows_of(weight, axis)).mean(axis=1)
    return qtensor.from_numpy(
        weight, precision, signed=False, axis=axis, scale=one_or_all(2 * a, axis),
        bias=one_or_all(np.full(len(a), -0.5), axis))


def rows_of(weight, axis):
    """A row, in double precision, for each scale."""
    weight = weight.astype(np.float64)
    if axis is None:
        return weight.reshape(1, -1)
    return np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)


def one_or_all(values, axis):
    return float(values[0]) if axis is None else values


def variants(precisions):
    """Yields (label, precision, axis, function) of each row of the table."""
    for precision in precisions:
        ways = [("max", by_max)]
        if precision < 8:  # at 8 bits there is nothing to gain
            ways.append(("search", by_search))
        if precision == 1:
            ways.append(("-a, a", two_values))
        for label, quantize in ways:
            for axis in (None, 0):
                yield label, precision, axis, quantize


# --- The network --------------------------------------------------------------


class Digits(object):
    """The network, its float parameters and the test images."""

    def __init__(self, folder):
        self.net = read(folder, "predict_net.pb", caffe2_pb2.NetDef())
        self.init = read(folder, "init_net.pb", caffe2_pb2.NetDef())
        tensors = {each.name: utils.Caffe2TensorToNumpyArray(each) for each in
                   read(folder, "test_images.pb", caffe2_pb2.TensorProtos()).protos}
        self.images, self.labels = tensors[INPUT], tensors["label"]
        self.weight_names = [op.input[1] for op in self.net.op
                             if op.type in ("Conv", "FC")]
        self.start()
        self.weights = {name: workspace.FetchBlob(name) for name in self.weight_names}

    def start(self):
        """A new workspace with float parameters and the images."""
        workspace.ResetWorkspace()
        workspace.RunNetOnce(self.init)
        workspace.FeedBlob(INPUT, self.images)

    def run(self, tensors, fc_arguments=None):
        """Runs the network with `tensors`, QTensors by the names of their weights.

        With `fc_arguments` each FC is a QTensorFC with these arguments.

        Returns:
            The weights as they were used, and the outputs LOGITS and OUTPUT.
        """
        self.start()
        for name, tensor in tensors.items():
            qtensor.feed(name + "_q", tensor)
            workspace.RunOperatorOnce(core.CreateOperator(
                "QTensorDequantize", [name + "_q"], [name]))
        net = caffe2_pb2.NetDef()
        net.CopyFrom(self.net)
        if fc_arguments is not None:
            for op in net.op:
                if op.type == "FC":
                    op.type = "QTensorFC"
                    op.input[1] += "_q"
                    op.arg.extend(utils.MakeArgument(name, value)
                                  for name, value in sorted(fc_arguments.items()))
            net.external_input.extend(name + "_q" for name in tensors)
        workspace.RunNetOnce(net)
        weights = {name: workspace.FetchBlob(name) for name in self.weight_names}
        return weights, workspace.FetchBlob(LOGITS), workspace.FetchBlob(OUTPUT)

    def score(self, softmax):
        correct = int((softmax.argmax(axis=1) == self.labels).sum())
        return {"correct": correct, "images": len(self.labels),
                "accuracy": correct / len(self.labels)}


def read(folder, name, proto):
    with open(os.path.join(folder, name), "rb") as stream:
        proto.ParseFromString(stream.read())
    return proto


# --- Figures ------------------------------------------------------------------


def sqnr(pairs):
    """10 log10 of the signal's power over the error's; `pairs` of (exact, found)."""
    signal = error = 0.0
    for exact, found in pairs:
        exact = exact.astype(np.float64)
        signal += (exact ** 2).sum()
        error += ((exact - found) ** 2).sum()
    return float(10 * np.log10(signal / error)) if error > 0 else None


def measure(digits, label, precision, axis, quantize):
    tensors = {name: quantize(digits.weights[name], precision, axis)
               for name in digits.weight_names}
    found, _, softmax = digits.run(tensors)
    exact = digits.weights
    any_tensor = next(iter(tensors.values()))
    row = {
        "precision": precision,
        "signed": any_tensor.signed,
        "planes": precision + int(any_tensor.signed),
        "scales": "tensor" if axis is None else "channel",
        "chosen": label,
        "plane_bytes": sum(tensor.nbytes for tensor in tensors.values()),
        "message_bytes": sum(len(tensor.to_proto().SerializeToString())
                             for tensor in tensors.values()),
        "sqnr": sqnr((exact[name], found[name]) for name in exact),
        "sqnr_of": {name: sqnr([(exact[name], found[name])]) for name in exact},
    }
    row["ratio"] = float_bytes(digits) / row["plane_bytes"]
    row.update(digits.score(softmax))
    return row


def measure_fc(digits, precision):
    """fc1 and fc2 on bit planes, X as 8 bits without sign: it comes out of Relu."""
    quantize = by_max if precision == 8 else by_search
    tensors = {name: quantize(digits.weights[name], precision, 0)
               for name in digits.weight_names}
    _, logits, softmax = digits.run(tensors)
    row = {"precision": precision, "X_precision": 8, "X_signed": False,
           "fc_correct": digits.score(softmax)["correct"]}
    _, fc_logits, fc_softmax = digits.run(tensors, {"X_precision": 8, "X_signed": 0})
    row.update(digits.score(fc_softmax))
    row["largest_logit"] = float(np.abs(logits).max())
    row["logit_difference"] = float(np.abs(fc_logits - logits).max())
    row["probability_difference"] = float(np.abs(fc_softmax - softmax).max())
    return row


def float_bytes(digits):
    return sum(weight.nbytes for weight in digits.weights.values())


# --- Output -------------------------------------------------------------------


def markdown(header, alignment, rows):
    """A table; `alignment` has l or r for each column."""
    lines = ["| " + " | ".join(header) + " |",
             "|" + "|".join("---" if each == "l" else "---:" for each in alignment) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def label_of(row):
    return ["%d%s" % (row["precision"], " + sign" if row["signed"] else ""),
            row["scales"], row["chosen"]]


def report(result):
    """All tables as text."""
    exact = result["float"]

    def right(row):
        return ["%d" % row["correct"], "%.2f %%" % (100 * row["accuracy"])]

    rows = [["float", "", ""] + right(exact) + ["%s" % format(exact["bytes"], ","), "", "1.0", ""]]
    for row in result["rows"]:
        rows.append(label_of(row) + right(row) + [
            format(row["plane_bytes"], ","), format(row["message_bytes"], ","),
            "%.1f" % row["ratio"], "%.1f" % row["sqnr"]])
    tables = [markdown(
        ["bits", "a scale per", "chosen by", "right of %d" % exact["images"], "accuracy",
         "bytes of planes", "of messages", "ratio", "SQNR, dB"], "lllrrrrrr", rows)]
    names = list(result["rows"][0]["sqnr_of"])
    tables.append(markdown(
        ["SQNR, dB: bits", "a scale per", "chosen by"] + ["`%s`" % name for name in names],
        "lll" + "r" * len(names),
        [label_of(row) + ["%.1f" % row["sqnr_of"][name] for name in names]
         for row in result["rows"]]))
    tables.append(markdown(
        ["W, bits", "right with FC", "with QTensorFC", "accuracy", "largest output of `fc2`",
         "largest difference", "of a probability"], "lrrrrrr",
        [["%d + sign" % row["precision"], "%d" % row["fc_correct"]] + right(row) + [
            "%.2f" % row["largest_logit"], "%.3f" % row["logit_difference"],
            "%.4f" % row["probability_difference"]] for row in result["qtensor_fc"]]))
    return "\n\n".join(tables)


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--precisions", type=int, nargs="+", default=[8, 4, 2, 1],
                        metavar="BITS", choices=range(1, 9), help="bits of magnitude, 1 to 8")
    parser.add_argument("--json", metavar="FILE", help="write all figures there; -: only "
                        "them, to standard output")
    parser.add_argument("--model-dir", default=FOLDER, help="where the network's files are")
    args = parser.parse_args(argv)

    workspace.GlobalInit(["bits", "--caffe2_log_level=3"])
    caffe2_quantization.load()
    digits = Digits(args.model_dir)
    _, _, softmax = digits.run({})
    result = {
        "float": dict(digits.score(softmax), bytes=float_bytes(digits)),
        "rows": [measure(digits, *each) for each in variants(args.precisions)],
        "qtensor_fc": [measure_fc(digits, precision) for precision in args.precisions],
    }
    if args.json != "-":
        print(report(result))
    if args.json:
        text = json.dumps(result, indent=2, sort_keys=True) + "\n"
        if args.json == "-":
            sys.stdout.write(text)
        else:
            with open(args.json, "w") as stream:
                stream.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
