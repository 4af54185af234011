"""Real trained nets with real data, as Caffe2 operators, for experiment.py.

    digits    the CNN of examples/digits; its 540 held-out images
    separable a CNN of depthwise and pointwise convolutions with batch norm (folded),
              trained here on the same images
    lstm      an LSTM over the rows of the same images, trained here; unrolled
    tabular   an MLP on the 30 measurements of scikit-learn's breast cancer data, which
              have long tails; trained here
    pnet, rnet, onet
              the three face detection CNNs of MTCNN (Zhang et al. 2016) with the
              weights of the PyPI package mtcnn, on the 200 crops (faces and not) of
              scikit-image's lfw_subset

Training uses the PyTorch that the Caffe2 wheel is; seeds are fixed and one thread
computes, so the same machine gives the same nets.
"""

import importlib.util
import os

import numpy as np

from caffe2.proto import caffe2_pb2
from caffe2.python import core

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPLIT_SEED = 2021


class Net(object):
    """A net and its data.

    Attributes:
        name: what tables call it.
        ops: OperatorDefs in order; each writes tensors of its own.
        parameters: {blob: float32 array}.
        weights: {blob: axis of its output channels}: the parameters to quantize.
        input, output: names of blobs; the output is the logits, before any softmax.
        calibration: float32 [N, …], what parameters are chosen from.
        test: float32 [N, …], never seen by training or calibration.
        labels: int [N], the classes of `test`.
    """

    def __init__(self, name, input="data"):
        self.name = name
        self.ops = []
        self.parameters = {}
        self.weights = {}
        self.input = input
        self.output = None
        self.calibration = self.test = self.labels = None

    def add(self, op_type, inputs, output, **arguments):
        outputs = output if isinstance(output, (list, tuple)) else [output]
        self.ops.append(core.CreateOperator(op_type, list(inputs), list(outputs), **arguments))
        return output

    def parameter(self, name, value, channel_axis=None):
        self.parameters[name] = np.ascontiguousarray(value, dtype=np.float32)
        if channel_axis is not None:
            self.weights[name] = channel_axis
        return name

    def conv(self, name, source, weight, bias, **arguments):
        return self.add("Conv", [source, self.parameter(name + "_w", weight, 0),
                                 self.parameter(name + "_b", bias)], name,
                        kernel=int(weight.shape[2]), **arguments)

    def fc(self, name, source, weight, bias):
        return self.add("FC", [source, self.parameter(name + "_w", weight, 0),
                               self.parameter(name + "_b", bias)], name)


def load(names, cache):
    """Returns the nets of these names. Trained ones are kept in the folder `cache`."""
    makers = {"digits": digits, "separable": separable, "lstm": lstm, "tabular": tabular,
              "pnet": lambda _: mtcnn("pnet", 12), "rnet": lambda _: mtcnn("rnet", 24),
              "onet": lambda _: mtcnn("onet", 48)}
    if not os.path.isdir(cache):
        os.makedirs(cache)
    return [makers[name](cache) for name in names]


# --- digits -------------------------------------------------------------------


def digit_images():
    """(train images, train labels, test images, test labels), as examples/digits has
    them: float32 [N, 1, 8, 8] from 0 to 1."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    found = load_digits()
    images = (found.images / 16.0).astype(np.float32)[:, np.newaxis]
    train_x, test_x, train_y, test_y = train_test_split(
        images, found.target, test_size=540, stratify=found.target,
        random_state=SPLIT_SEED)
    return train_x, train_y, test_x, test_y


def digits(_):
    folder = os.path.join(CHECKOUT, "examples", "digits")
    net = Net("digits")
    predict, init = caffe2_pb2.NetDef(), caffe2_pb2.NetDef()
    for proto, name in ((predict, "predict_net.pb"), (init, "init_net.pb")):
        with open(os.path.join(folder, name), "rb") as f:
            proto.ParseFromString(f.read())
    for op in init.op:
        arguments = {each.name: each for each in op.arg}
        value = np.array(arguments["values"].floats, np.float32).reshape(
            tuple(arguments["shape"].ints))
        net.parameter(op.output[0], value, 0 if op.output[0].endswith("_w") else None)
    net.ops = [op for op in predict.op if op.type != "Softmax"]
    net.output = "fc2"
    net.calibration, _, net.test, net.labels = digit_images()
    return net


def separable(cache):
    import torch
    from torch import nn

    def block(channels_in, channels_out, stride):
        return [nn.Conv2d(channels_in, channels_in, 3, stride, 1, groups=channels_in, bias=False),
                nn.BatchNorm2d(channels_in), nn.ReLU(),
                nn.Conv2d(channels_in, channels_out, 1, bias=False),
                nn.BatchNorm2d(channels_out), nn.ReLU()]

    torch.manual_seed(1)
    train_x, train_y, test_x, test_y = digit_images()
    layers = ([nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()] +
              block(16, 32, 1) + block(32, 64, 2) + block(64, 64, 1) +
              [nn.AvgPool2d(4), nn.Flatten(), nn.Linear(64, 10)])
    model = train(nn.Sequential(*layers), train_x, train_y, 30,
                  os.path.join(cache, "separable.pt"))

    net = Net("separable")
    blob, number = net.input, 0
    layers = list(model)
    for i, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            number += 1
            weight, bias = folded(layer, layers[i + 1])
            blob = net.conv("conv%d" % number, blob, weight, bias, stride=layer.stride[0],
                            pad=layer.padding[0], group=layer.groups)
        elif isinstance(layer, nn.ReLU):
            blob = net.add("Relu", [blob], "relu%d" % number)
        elif isinstance(layer, nn.AvgPool2d):
            blob = net.add("AveragePool", [blob], "pool", kernel=4, stride=4)
        elif isinstance(layer, nn.Linear):
            blob = net.fc("fc", blob, array(layer.weight), array(layer.bias))
    net.output = blob
    net.calibration, net.test, net.labels = train_x, test_x, test_y
    return net


def folded(conv, norm):
    """Weight and bias of a convolution and the batch norm after it."""
    factor = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
    return (array(conv.weight) * factor[:, None, None, None],
            array(norm.bias) - array(norm.running_mean) * factor)


def lstm(cache):
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self):
            super(Model, self).__init__()
            self.lstm = nn.LSTM(8, 48, batch_first=True)
            self.fc = nn.Linear(48, 10)

        def forward(self, x):
            return self.fc(self.lstm(x)[0][:, -1])

    torch.manual_seed(1)
    train_x, train_y, test_x, test_y = digit_images()
    rows = [x.reshape(-1, 8, 8) for x in (train_x, test_x)]
    model = train(Model(), rows[0], train_y, 40, os.path.join(cache, "lstm.pt"))

    net = Net("lstm")
    cell = model.lstm
    wx = net.parameter("wx", array(cell.weight_ih_l0), 0)
    wh = net.parameter("wh", array(cell.weight_hh_l0), 0)
    bx = net.parameter("bx", array(cell.bias_ih_l0))
    bh = net.parameter("bh", array(cell.bias_hh_l0))
    steps = ["row%d" % t for t in range(8)]
    net.add("Split", [net.input], ["rows%d" % t for t in range(8)], axis=1)
    hidden = state = None
    for t, step in enumerate(steps):
        row = net.add("Reshape", ["rows%d" % t], [step, step + "_shape"], shape=[-1, 8])[0]
        gates = net.add("FC", [row, wx, bx], "x%d" % t)
        if hidden is None:
            # The first hidden state is 0: what is left of its product is the bias.
            gates = net.add("Add", [gates, bh], "gates%d" % t, broadcast=1)
        else:
            product = net.add("FC", [hidden, wh, bh], "h%d" % t)
            gates = net.add("Add", [gates, product], "gates%d" % t)
        parts = ["%s%d" % (gate, t) for gate in ("i", "f", "g", "o")]
        net.add("Split", [gates], [part + "_in" for part in parts], axis=1)
        for part in parts:
            net.add("Tanh" if part[0] == "g" else "Sigmoid", [part + "_in"], part)
        fresh = net.add("Mul", [parts[0], parts[2]], "fresh%d" % t)
        if state is not None:
            kept = net.add("Mul", [parts[1], state], "kept%d" % t)
            fresh = net.add("Add", [fresh, kept], "state%d" % t)
        state = fresh
        squashed = net.add("Tanh", [state], "squashed%d" % t)
        hidden = net.add("Mul", [parts[3], squashed], "hidden%d" % t)
    net.output = net.fc("fc", hidden, array(model.fc.weight), array(model.fc.bias))
    net.calibration, net.test, net.labels = rows[0], rows[1], test_y
    return net


def tabular(cache):
    import torch
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split
    from torch import nn

    torch.manual_seed(1)
    found = load_breast_cancer()
    train_x, test_x, train_y, test_y = train_test_split(
        found.data, found.target, test_size=285, stratify=found.target,
        random_state=SPLIT_SEED)
    mean, deviation = train_x.mean(axis=0), train_x.std(axis=0)
    train_x, test_x = [((x - mean) / deviation).astype(np.float32) for x in (train_x, test_x)]
    model = train(nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(),
                                nn.Linear(32, 2)),
                  train_x, train_y, 40, os.path.join(cache, "tabular.pt"))
    net = Net("tabular")
    blob = net.input
    for i, layer in enumerate(model):
        if isinstance(layer, nn.Linear):
            blob = net.fc("fc%d" % i, blob, array(layer.weight), array(layer.bias))
        else:
            blob = net.add("Relu", [blob], "relu%d" % i)
    net.output = blob
    net.calibration, net.test, net.labels = train_x, test_x, test_y
    return net


def train(model, images, labels, epochs, path):
    """Adam with a cosine rate; the result is kept at `path`."""
    import torch

    if os.path.exists(path):
        model.load_state_dict(torch.load(path))
        return model.eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    x, y = torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(32):
            if len(batch) < 2:
                continue  # no variance
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        schedule.step()
    torch.set_num_threads(threads)
    torch.save(model.state_dict(), path)
    return model.eval()


def array(tensor):
    return tensor.detach().numpy()


# --- MTCNN --------------------------------------------------------------------


def mtcnn(name, size):
    """One of MTCNN's nets as a classifier of faces."""
    path = package_file("mtcnn", "data", "mtcnn_weights.npy")
    values = list(np.load(path, allow_pickle=True).item()[name])
    net = Net(name)

    def take():
        return values.pop(0)

    def conv(number, source):
        weight = take().transpose(3, 2, 0, 1)
        blob = net.conv("conv%d" % number, source, weight, take())
        return net.add("PRelu", [blob, net.parameter("slope%d" % number, take().ravel())],
                       "prelu%d" % number)

    def pool(number, source, kernel, grow):
        # Keras' padding "same": one row and column after the last, where needed.
        return net.add("MaxPool", [source], "pool%d" % number, kernel=kernel, stride=2,
                       pad_t=0, pad_l=0, pad_b=grow, pad_r=grow)

    def fc(fc_name, source):
        return net.fc(fc_name, source, take().T, take())

    # (kernel, padding after the end) of the pooling behind each convolution.
    pools = {"pnet": [(2, 0), None, None], "rnet": [(3, 1), (3, 0), None],
             "onet": [(3, 1), (3, 0), (2, 0), None]}[name]
    blob = net.input
    for number, pooling in enumerate(pools, 1):
        blob = conv(number, blob)
        if pooling:
            blob = pool(number, blob, *pooling)
    if name == "pnet":
        weight = take().transpose(3, 2, 0, 1)
        net.output = net.conv("face", blob, weight, take())  # [N, 2, 1, 1]
    else:
        blob = net.add("Transpose", [blob], "last", axes=[0, 2, 3, 1])
        blob = net.add("Flatten", [blob], "flat")
        blob = fc("fc", blob)
        blob = net.add("PRelu", [blob, net.parameter("slope_fc", take().ravel())], "prelu_fc")
        net.output = fc("face", blob)
    faces, labels = face_crops(size)
    # Every other crop of either class is for calibration, and all mirrored too.
    net.calibration = with_mirrored(faces[1::2])
    net.test, net.labels = with_mirrored(faces[::2]), np.tile(labels[::2], 2)
    return net


def face_crops(size):
    """(images float32 [200, 3, size, size] as the nets take them, labels: 1 is a face)."""
    crops = np.load(package_file("skimage", "data", "lfw_subset.npy"))
    labels = np.repeat([1, 0], 100)  # the first hundred are faces
    scaled = (resize(crops, size) * 255 - 127.5) / 128
    # The nets were trained on images with rows and columns exchanged.
    scaled = scaled.transpose(0, 2, 1)[:, np.newaxis]
    return np.repeat(scaled, 3, axis=1).astype(np.float32), labels


def package_file(package, *path):
    """A file of an installed package, which is not imported: of these only the data is
    needed, and importing them needs much more."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise SystemExit("the package of '%s' is not installed; experiment.py says which "
                         "are needed" % package)
    return os.path.join(os.path.dirname(spec.origin), *path)


def resize(images, size):
    """Bilinear, [N, rows, columns] to [N, size, size]."""
    for axis in (1, 2):
        length = images.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.minimum(at.astype(int), length - 2)
        part = (at - low).reshape([-1 if each == axis else 1 for each in range(3)])
        images = (np.take(images, low, axis) * (1 - part) +
                  np.take(images, low + 1, axis) * part)
    return images


def with_mirrored(images):
    # Left and right are rows here.
    return np.ascontiguousarray(np.concatenate([images, images[:, :, ::-1]]))
