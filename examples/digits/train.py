#!/usr/bin/env python3
"""Trains the digits network with Caffe2 and writes every model file of this folder.

Run it from the top of the checkout, in the project's virtual environment
(Python 3.9 with the Caffe2 wheel, made by `script/setup`) plus scikit-learn,
which brings the images along (newer numpy than 1.22 breaks the wheel):

    .deps/tools/bin/python -m pip --python .deps/venv/bin/python install scikit-learn 'numpy<1.23'
    .deps/venv/bin/python examples/digits/train.py             # train, write, check
    .deps/venv/bin/python examples/digits/train.py --check     # only check the files

Written to --out-dir (by default the folder of this script):

    predict_net.pb       NetDef: data [N,1,8,8] -> softmax [N,10]
    init_net.pb          NetDef: float parameters, one GivenTensorFill each
    init_net_byte.pb     NetDef: weights as bytes, expanded by ByteWeightDequant
    init_net_qtensor.pb  NetDef: weights as QTensors, expanded by QTensorDequantize
    test_images.pb       TensorProtos: the held-out images ("data") and digits ("label")

Two runs with the same arguments on the same machine write the same bytes. The
held-out images never take part in training, nor in choosing when to stop: the
number of epochs is fixed beforehand. Only `--check` works without scikit-learn.
"""

import argparse
import collections
import os
import sys

import numpy as np

from caffe2.proto import caffe2_pb2
from caffe2.python import brew, core, model_helper, optimizer, workspace

NET_NAME = "digits"
INPUT, LABEL, OUTPUT = "data", "label", "softmax"
NUM_CLASSES = 10
TEST_IMAGES = 540
SPLIT_SEED = 2021  # Part of the data set's definition, hence no option.
QTENSOR_PRECISION = 8  # Bit planes of the magnitude; the sign is one more.

# The forms of the parameters, each the file of a NetDef that fills them all.
FORMS = collections.OrderedDict([
    ("float", "init_net.pb"),
    ("byte", "init_net_byte.pb"),
    ("qtensor", "init_net_qtensor.pb"),
])
PREDICT_NET = "predict_net.pb"
TEST_DATA = "test_images.pb"


# --- The network --------------------------------------------------------------


def add_network(model):
    """Adds the layers, every output a blob of its own so that observers see each one."""
    weight_init = ("MSRAFill", {})
    brew.conv(model, INPUT, "conv1", 1, 16, kernel=3, pad=1, weight_init=weight_init)
    brew.relu(model, "conv1", "relu1")
    brew.max_pool(model, "relu1", "pool1", kernel=2, stride=2)
    brew.conv(model, "pool1", "conv2", 16, 32, kernel=3, pad=1, weight_init=weight_init)
    brew.relu(model, "conv2", "relu2")
    brew.max_pool(model, "relu2", "pool2", kernel=2, stride=2)
    brew.fc(model, "pool2", "fc1", 32 * 2 * 2, 64, weight_init=weight_init)
    brew.relu(model, "fc1", "relu3")
    brew.fc(model, "relu3", "fc2", 64, NUM_CLASSES, weight_init=weight_init)
    return brew.softmax(model, "fc2", OUTPUT)


def new_model(name, init_params=True):
    # Without an engine the operators are the plain CPU ones, whatever the build.
    return model_helper.ModelHelper(
        name=name,
        arg_scope={"order": "NCHW", "use_cudnn": False},
        init_params=init_params)


def predict_net():
    """The network alone, ready for any of the parameter forms."""
    model = new_model(NET_NAME, init_params=False)
    add_network(model)
    net = caffe2_pb2.NetDef()
    net.name = NET_NAME
    for op in model.net.Proto().op:
        copy = net.op.add()
        copy.CopyFrom(op)
        # Leave out the empty name, tracebacks (they hold paths of this machine) and
        # the order where an operator knows none.
        copy.ClearField("name")
        copy.ClearField("debug_info")
        if op.type not in ("Conv", "MaxPool"):
            copy.ClearField("arg")
    net.external_input.extend([INPUT] + parameter_names(net))
    net.external_output.append(OUTPUT)
    return net


def op_parameters(op):
    """The names of an operator's weight and bias: inputs 1 and 2 of Conv and FC."""
    return list(op.input[1:3]) if op.type in ("Conv", "FC") else []


def parameter_names(net):
    """All weights and biases, in the order of the layers."""
    return [name for op in net.op for name in op_parameters(op)]


def is_weight(name):
    return name.endswith("_w")


# --- Data and training --------------------------------------------------------


def load_images():
    """Returns (train images, train labels, test images, test labels).

    Images are float32 [N,1,8,8] from 0 to 1: the data set's 0..16 over 16, exact.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, np.newaxis]
    labels = digits.target.astype(np.int32)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=TEST_IMAGES, stratify=labels, random_state=SPLIT_SEED)
    return train_x, train_y, test_x, test_y


def shift_randomly(images, rng):
    """Shifts half of the images by one pixel in a random direction, zeros moving in."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="constant")
    offsets = rng.randint(0, 3, size=(len(images), 2))
    offsets[rng.rand(len(images)) < 0.5] = 1  # 1, 1 is no shift.
    return np.stack([p[:, y:y + 8, x:x + 8] for p, (y, x) in zip(padded, offsets)])


def train(train_x, train_y, args):
    """Trains with Caffe2's own gradient operators and Adam; returns {name: float32 array}."""
    workspace.ResetWorkspace()
    steps = len(train_x) // args.batch_size

    model = new_model("digits_train")
    softmax = add_network(model)
    cross_entropy = model.LabelCrossEntropy([softmax, LABEL], "cross_entropy")
    loss = model.AveragedLoss(cross_entropy, "loss")
    model.AddGradientOperators([loss])
    optimizer.add_weight_decay(model, args.weight_decay)
    # Three stages, each with a fifth of the rate before it.
    optimizer.build_adam(
        model, args.learning_rate, policy="step",
        stepsize=-(-args.epochs * steps // 3), gamma=0.2)

    # Each operator that draws random numbers gets a seed of its own.
    for i, op in enumerate(model.param_init_net.Proto().op):
        op.device_option.random_seed = 1000 * args.seed + i + 1
    rng = np.random.RandomState(args.seed)

    workspace.FeedBlob(INPUT, train_x[:args.batch_size])
    workspace.FeedBlob(LABEL, train_y[:args.batch_size])
    workspace.RunNetOnce(model.param_init_net)
    workspace.CreateNet(model.net, overwrite=True)
    for epoch in range(args.epochs):
        order = rng.permutation(len(train_x))
        losses = []
        for step in range(steps):
            batch = order[step * args.batch_size:(step + 1) * args.batch_size]
            workspace.FeedBlob(INPUT, shift_randomly(train_x[batch], rng))
            workspace.FeedBlob(LABEL, train_y[batch])
            workspace.RunNet(model.net)
            losses.append(float(workspace.FetchBlob("loss")))
        show_progress("epoch %d of %d, loss %.4f" % (epoch + 1, args.epochs, np.mean(losses)))
    show_progress(None)
    return {str(p): workspace.FetchBlob(str(p)) for p in model.GetParams()}


def show_progress(text):
    """One line on a terminal, overwritten each time (None removes it); else nothing."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + (text or ""))
        sys.stderr.flush()


# --- The three forms of the parameters ----------------------------------------


def fill_op(name, value):
    return core.CreateOperator(
        "GivenTensorFill", [], [name], shape=value.shape, values=value.ravel())


def init_net_float(params):
    """name = GivenTensorFill(), for weights and biases."""
    return new_init_net("digits_init", params, lambda name, value: [fill_op(name, value)])


def init_net_byte(params):
    """name_bytes = GivenTensorByteStringToUInt8Fill(); name = ByteWeightDequant(name_bytes).

    The host computes w = q * (max - min) / 255 + min; min and max are those of the tensor.
    """

    def weight_ops(name, w):
        low, high = w.min(), w.max()  # float32, as the argument holds them.
        q = np.rint((w.astype(np.float64) - low) * 255.0 / (np.float64(high) - low))
        fill = new_op("GivenTensorByteStringToUInt8Fill", [], [name + "_bytes"])
        add_arg(fill, "shape").ints.extend(w.shape)
        add_arg(fill, "values").strings.append(q.astype(np.uint8).tobytes())
        dequant = new_op("ByteWeightDequant", [name + "_bytes"], [name])
        add_arg(dequant, "min").f = low
        add_arg(dequant, "max").f = high
        add_arg(dequant, "shape").ints.extend(w.shape)
        return [fill, dequant]

    return new_init_net("digits_init_byte", params, weight_ops)


def init_net_qtensor(params):
    """name_q = GivenQTensorFill(); name = QTensorDequantize(name_q): the plugin's operators."""

    def weight_ops(name, w):
        fill = new_op("GivenQTensorFill", [], [name + "_q"])
        add_arg(fill, "qtensors").qtensors.add().CopyFrom(quantize_qtensor(name, w))
        return [fill, new_op("QTensorDequantize", [name + "_q"], [name])]

    return new_init_net("digits_init_qtensor", params, weight_ops)


def new_init_net(net_name, params, weight_ops):
    """A net that fills all of `params`: weights as `weight_ops` says, biases as floats."""
    net = caffe2_pb2.NetDef()
    net.name = net_name
    for name, value in params.items():
        ops = weight_ops(name, value) if is_weight(name) else [fill_op(name, value)]
        for op in ops:
            op.ClearField("name")
            op.ClearField("debug_info")
        net.op.extend(ops)
    net.external_output.extend(params)
    return net


def new_op(op_type, inputs, outputs):
    op = caffe2_pb2.OperatorDef()
    op.type = op_type
    op.input.extend(inputs)
    op.output.extend(outputs)
    return op


def add_arg(op, name):
    arg = op.arg.add()
    arg.name = name
    return arg


def quantize_qtensor(name, w):
    """Returns the QTensorProto of `w`: value = scale * x, x an integer, |x| <= 255.

    x is sign and magnitude. Plane b holds bit b of every |x|, plane 0 the least
    significant; the sign plane (1 = negative) comes last. A plane takes
    ceil(n / 8) bytes, its first element in the most significant bit. `data` is
    the planes one after another, one byte per entry.
    """
    largest = 2 ** QTENSOR_PRECISION - 1
    flat = w.astype(np.float64).ravel()
    scale = np.abs(flat).max() / largest
    x = np.rint(flat / scale).astype(np.int64)
    bits = [(np.abs(x) >> b) & 1 for b in range(QTENSOR_PRECISION)] + [x < 0]
    planes = np.packbits(np.array(bits, dtype=np.uint8), axis=1)  # Pads to whole bytes.

    proto = caffe2_pb2.QTensorProto()
    proto.name = name
    proto.dims.extend(w.shape)
    proto.precision = QTENSOR_PRECISION
    proto.is_signed = True
    proto.scale = scale
    proto.bias = 0.0
    proto.data.extend(int(byte) for byte in planes.ravel())
    return proto


def dequantize_qtensor(proto):
    """The float64 values of a QTensorProto, written from the format and not from the above."""
    count = int(np.prod(proto.dims))
    plane_bytes = (count + 7) // 8
    num_planes = proto.precision + int(proto.is_signed)
    assert len(proto.data) == num_planes * plane_bytes, proto.name
    planes = np.array(proto.data, dtype=np.uint8).reshape(num_planes, plane_bytes)
    bits = np.unpackbits(planes, axis=1)[:, :count].astype(np.int64)
    x = sum(bits[b] << b for b in range(proto.precision))
    if proto.is_signed:
        x = np.where(bits[proto.precision] == 1, -x, x)
    return (proto.scale * (x + proto.bias)).reshape(proto.dims)


# --- Files --------------------------------------------------------------------


def test_protos(images, labels):
    protos = caffe2_pb2.TensorProtos()
    data = protos.protos.add()
    data.name = INPUT
    data.dims.extend(images.shape)
    data.data_type = caffe2_pb2.TensorProto.FLOAT
    data.float_data.extend(images.ravel().tolist())
    label = protos.protos.add()
    label.name = LABEL
    label.dims.extend(labels.shape)
    label.data_type = caffe2_pb2.TensorProto.INT32
    label.int32_data.extend(labels.tolist())
    return protos


def read_test_images(path):
    tensors = {p.name: p for p in read_proto(caffe2_pb2.TensorProtos(), path).protos}
    data, label = tensors[INPUT], tensors[LABEL]
    return (np.array(data.float_data, dtype=np.float32).reshape(data.dims),
            np.array(label.int32_data, dtype=np.int32).reshape(label.dims))


def write_proto(proto, path):
    with open(path, "wb") as f:
        f.write(proto.SerializeToString())


def read_proto(proto, path):
    with open(path, "rb") as f:
        proto.ParseFromString(f.read())
    return proto


# --- Checking what was written ------------------------------------------------


def without_qtensor_ops(net):
    """Replaces the plugin's two operators by fills of the values dequantized here, in numpy."""
    plain = caffe2_pb2.NetDef()
    qtensors = {}
    for op in net.op:
        if op.type == "GivenQTensorFill":
            qtensors[op.output[0]] = op.arg[0].qtensors[0]
        elif op.type == "QTensorDequantize":
            values = dequantize_qtensor(qtensors[op.input[0]])
            plain.op.extend([fill_op(op.output[0], values.astype(np.float32))])
        else:
            plain.op.extend([op])
    return plain


def run_form(out_dir, form, images):
    """Runs the network in a fresh workspace; returns (softmax, {blob: its value})."""
    workspace.ResetWorkspace()
    init = read_proto(caffe2_pb2.NetDef(), os.path.join(out_dir, FORMS[form]))
    net = read_proto(caffe2_pb2.NetDef(), os.path.join(out_dir, PREDICT_NET))
    workspace.RunNetOnce(without_qtensor_ops(init) if form == "qtensor" else init)
    workspace.FeedBlob(INPUT, images)
    workspace.RunNetOnce(net)
    blobs = parameter_names(net) + [blob for op in net.op for blob in op.output]
    return workspace.FetchBlob(OUTPUT), {b: workspace.FetchBlob(b) for b in blobs}


def check_steps(out_dir, exact):
    """Checks that no stored weight is further than half a step from its float value."""
    byte_net = read_proto(caffe2_pb2.NetDef(), os.path.join(out_dir, FORMS["byte"]))
    stored = {}
    for op in byte_net.op:
        arg = {a.name: a for a in op.arg}
        if op.type == "GivenTensorByteStringToUInt8Fill":
            stored[op.output[0]] = np.frombuffer(arg["values"].strings[0], dtype=np.uint8)
        elif op.type == "ByteWeightDequant":
            step = (arg["max"].f - arg["min"].f) / 255.0
            values = (stored[op.input[0]] * step + arg["min"].f).reshape(arg["shape"].ints)
            check_close(op.output[0], values, exact[op.output[0]], step)
    qtensor_net = read_proto(caffe2_pb2.NetDef(), os.path.join(out_dir, FORMS["qtensor"]))
    for op in qtensor_net.op:
        if op.type == "GivenQTensorFill":
            proto = op.arg[0].qtensors[0]
            check_close(proto.name, dequantize_qtensor(proto), exact[proto.name], proto.scale)


def check_close(name, stored, exact, step):
    error = np.abs(stored - exact.astype(np.float64)).max()
    if error > step / 2 * (1 + 1e-9):  # The margin is for rounding in double precision.
        raise SystemExit("%s: stored value off by %g, more than half of step %g"
                         % (name, error, step))


def check(out_dir, min_accuracy):
    """Prints the layers and, for each form, accuracy and size; fails below min_accuracy."""
    images, labels = read_test_images(os.path.join(out_dir, TEST_DATA))
    results = collections.OrderedDict(
        (form, run_form(out_dir, form, images)) for form in FORMS)
    exact_softmax, exact = results["float"]
    check_steps(out_dir, exact)

    net = read_proto(caffe2_pb2.NetDef(), os.path.join(out_dir, PREDICT_NET))
    total = 0
    print("%-8s %-8s %-17s %s" % ("blob", "operator", "shape", "parameters"))
    for op in net.op:
        total += sum(exact[p].size for p in op_parameters(op))
        params = ", ".join("%s %s" % (p, list(exact[p].shape)) for p in op_parameters(op))
        shape = ", ".join(["N"] + [str(d) for d in exact[op.output[0]].shape[1:]])
        print(("%-8s %-8s %-17s %s" % (
            op.output[0], op.type, "[%s]" % shape, params)).rstrip())
    print("%d parameters\n" % total)

    print("%-8s %-19s %6s  %-16s %s" % (
        "form", "file", "bytes", "accuracy", "largest change of a probability"))
    failed = False
    for form, (softmax, _) in results.items():
        correct = int((softmax.argmax(axis=1) == labels).sum())
        accuracy = correct / float(len(labels))
        failed |= accuracy < min_accuracy
        print("%-8s %-19s %6d  %d/%d %.2f %%  %.5f" % (
            form, FORMS[form], os.path.getsize(os.path.join(out_dir, FORMS[form])),
            correct, len(labels), 100 * accuracy, np.abs(softmax - exact_softmax).max()))
    for name in (PREDICT_NET, TEST_DATA):
        print("%-8s %-19s %6d" % ("", name, os.path.getsize(os.path.join(out_dir, name))))
    if failed:
        raise SystemExit("accuracy below %.2f %%" % (100 * min_accuracy))


def parse_args():
    parser = argparse.ArgumentParser(
        description="Train the digits network with Caffe2 and write its model files.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out-dir", default=os.path.dirname(os.path.abspath(__file__)),
                        help="folder of the model files, made if missing")
    parser.add_argument("--check", action="store_true",
                        help="train nothing, only check the files in --out-dir")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the images")
    parser.add_argument("--seed", type=int, default=1,
                        help="seed of initial weights, order and shifts (not of the split)")
    parser.add_argument("--batch-size", type=int, default=32, help="images per step")
    parser.add_argument("--learning-rate", type=float, default=0.003, help="Adam's first rate")
    parser.add_argument("--weight-decay", type=float, default=1e-4, help="L2 penalty")
    parser.add_argument("--min-accuracy", type=float, default=0.97,
                        help="fail if any form is less accurate on the held-out images")
    return parser.parse_args()


def main():
    args = parse_args()
    # One thread, so that sums are always formed in the same order.
    core.GlobalInit(["train.py", "--caffe2_log_level=3",
                     "--caffe2_omp_num_threads=1", "--caffe2_mkl_num_threads=1"])
    if not args.check:
        train_x, train_y, test_x, test_y = load_images()
        trained = train(train_x, train_y, args)

        net = predict_net()
        params = collections.OrderedDict((p, trained[p]) for p in parameter_names(net))
        if not os.path.isdir(args.out_dir):
            os.makedirs(args.out_dir)
        for proto, name in (
                (net, PREDICT_NET),
                (init_net_float(params), FORMS["float"]),
                (init_net_byte(params), FORMS["byte"]),
                (init_net_qtensor(params), FORMS["qtensor"]),
                (test_protos(test_x, test_y), TEST_DATA)):
            write_proto(proto, os.path.join(args.out_dir, name))
    check(args.out_dir, args.min_accuracy)


if __name__ == "__main__":
    main()
