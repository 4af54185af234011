"""QTensors from Python: made of numpy arrays, looked at, fetched, fed, in files.

    q = qtensor.from_numpy(weights, precision=4)
    q.nbytes, q.scale, q.integers(), q.dequantize()
    qtensor.feed("w_q", q)              # a blob of the current workspace
    qtensor.fetch("w_q") == q

A QTensor is an array of integers x, kept as bit planes, with a scale and a bias
or one pair a channel:

    value = scale * (x + bias)

``precision`` is the number of bits of each magnitude; a signed one has a plane of
signs too. A plane holds one bit of every element as ``numpy.packbits`` packs
them: row-major, the first element in the most significant bit, the last byte
filled with zeros. Plane b holds bit b of the magnitudes; the signs come last.
"""

import itertools
import math
import os
import struct

import numpy as np

from caffe2_quantization import _operators
from caffe2_quantization._arrays import as_array, floats
from caffe2_quantization._library import ensure_loaded, host

MAX_PRECISION = 64  # of a QTensor; from_numpy goes to 16
_MAX_DIM = 2 ** 31 - 2
_MAX_MESSAGE_BYTES = 2 ** 31 - 1
_TYPE = "QTensor"  # of the blob


class QTensor(object):
    """An array of integers in bit planes. A value: it does not change.

    Attributes:
        dims: its shape, a tuple.
        precision: bits of magnitude, 1 to 64.
        signed: whether there is a plane of signs.
        scale: see above; 1 when there is one a channel.
        bias: see above; 0 when there is one a channel.
        axis: the dimension of the channels, or None.
        scales: a tuple, one a channel, or None.
        biases: a tuple, one a channel, or None.
        planes: bytes, all planes one after the other.
    """

    __slots__ = ("dims", "precision", "signed", "scale", "bias", "axis", "scales",
                 "biases", "planes")

    def __init__(self, dims, precision, signed, planes, scale=1.0, bias=0.0, axis=None,
                 scales=None, biases=None):
        """Makes one of its parts; ``from_numpy`` and ``from_integers`` make the planes.

        Args:
            dims: as above, and so are the others.
            precision: see above.
            signed: see above.
            planes: see above; ceil(elements / 8) bytes a plane.
            scale: see above.
            bias: see above.
            axis: see above; negative counts from the end.
            scales: see above; with axis.
            biases: see above; with axis, 0 by default.

        Raises:
            ValueError: they make no QTensor; the message names the one that is
                wrong, what it is and what was expected.
        """
        dims = tuple(int(dim) for dim in dims)
        for index, dim in enumerate(dims):
            if not 0 <= dim <= _MAX_DIM:
                raise ValueError("dims[%d] is %d, expected 0 to %d"
                                 % (index, dim, _MAX_DIM))
        _check_precision(precision, MAX_PRECISION)
        _check_number("scale", scale)
        _check_number("bias", bias)
        planes = bytes(planes)
        count = _count(dims)
        number = int(precision) + bool(signed)
        # Without dims: one element, or none of no planes.
        if len(planes) != number * _plane_bytes(count) and (dims or planes):
            raise ValueError("planes has %d bytes, expected %d: %d planes of %d for %d "
                             "elements" % (len(planes), number * _plane_bytes(count),
                                           number, _plane_bytes(count), count))
        if axis is None:
            if scales is not None or biases is not None:
                raise ValueError("scales and biases are given without axis")
        else:
            axis, scales, biases = _channels(dims, axis, scales, biases)
        fields = (dims, int(precision), bool(signed), float(scale), float(bias), axis,
                  scales, biases, planes)
        for name, value in zip(QTensor.__slots__, fields):
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        raise AttributeError("a QTensor does not change; make another")

    def __reduce__(self):  # copy and pickle
        return QTensor, (self.dims, self.precision, self.signed, self.planes, self.scale,
                         self.bias, self.axis, self.scales, self.biases)

    def __eq__(self, other):
        if not isinstance(other, QTensor):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        if self.axis is None:
            parameters = "scale=%r, bias=%r" % (self.scale, self.bias)
        else:
            parameters = "axis=%d, %d channels" % (self.axis, len(self.scales))
        return "<QTensor %s, %d bits%s, %s, %d bytes>" % (
            list(self.dims), self.precision, " and sign" if self.signed else "",
            parameters, self.nbytes)

    def _fields(self):
        return tuple(getattr(self, name) for name in QTensor.__slots__)

    @property
    def size(self):
        """The number of elements."""
        return _count(self.dims) if self.dims or self.planes else 0

    @property
    def nbytes(self):
        """Bytes of the planes, which is what it takes in memory."""
        return len(self.planes)

    def integers(self):
        """Returns the integers x as an int64 array; of 64 bits without sign, uint64.

        Raises:
            OverflowError: the tensor has 64 bits and a sign.
        """
        magnitudes, negative = self._magnitudes()
        if self.precision == 64:
            if self.signed:
                raise OverflowError("integers of 64 bits and a sign fit no numpy type; "
                                    "dequantize() gives their values")
            return magnitudes
        integers = magnitudes.astype(np.int64)
        if self.signed:
            np.negative(integers, out=integers, where=negative)
        return integers

    def dequantize(self):
        """Returns the values as a float32 array, with QTensorDequantize's bits."""
        magnitudes, negative = self._magnitudes()
        values = magnitudes.astype(np.float64)
        if self.signed:
            np.negative(values, out=values, where=negative)
        scale, bias = self.scale, self.bias
        if self.axis is not None:
            along = [1] * len(self.dims)
            along[self.axis] = -1
            scale = np.array(self.scales).reshape(along)
            bias = np.array(self.biases).reshape(along)
        with np.errstate(all="ignore"):  # beyond float: infinite, as the operator has it
            return (scale * (values + bias)).astype(np.float32)

    def to_proto(self, name=""):
        """Returns it as a ``caffe2_pb2.QTensorProto``.

        Args:
            name: the message's field of that name.
        """
        head, tail = self._proto_parts(name)
        head.MergeFrom(tail)
        head.data.extend(self.planes)
        return head

    def _proto_parts(self, name):
        """Returns the fields that are before ``data`` and those that are behind it."""
        head, tail = _pb().QTensorProto(), _pb().QTensorProto()
        head.dims.extend(self.dims)
        head.precision = self.precision
        head.scale = self.scale
        head.bias = self.bias
        head.is_signed = self.signed
        if name:
            tail.name = name
        if self.axis is not None:
            tail.data_type = _pb().TensorProto.FLOAT
            tail.scales.extend(self.scales)
            tail.biases.extend(self.biases)
            tail.axis = self.axis
            tail.is_multiparam = True
        return head, tail

    def _magnitudes(self):
        """Returns uint64 magnitudes and where x < 0 (None: unsigned), of its shape."""
        shape = self.dims if self.dims or self.planes else (0,)
        count = self.size
        step = _plane_bytes(count)
        data = np.frombuffer(self.planes, dtype=np.uint8)

        def plane(index):
            return np.unpackbits(data[index * step:(index + 1) * step])[:count]

        magnitudes = np.zeros(count, dtype=np.uint64)
        for bit in range(self.precision):
            magnitudes |= plane(bit).astype(np.uint64) << np.uint64(bit)
        if not self.signed:
            return magnitudes.reshape(shape), None
        # A sign without a magnitude is that of no number: x is 0.
        negative = plane(self.precision).astype(bool) & (magnitudes != 0)
        return magnitudes.reshape(shape), negative.reshape(shape)


def from_numpy(array, precision=8, signed=True, scale=None, bias=None, axis=None):
    """Quantizes floats by the operator QTensorQuantize.

    x = value / scale - bias, rounded half to even; what is outside the integers
    saturates. The user's workspace is not touched.

    Args:
        array: finite values; real numbers of another type become float32.
        precision: bits of magnitude, 1 to 16.
        signed: whether there is a plane of signs; without, x >= 0.
        scale: a number above 0, with axis one a channel; rounded to float. By
            default by the data: signed, the largest magnitude gets the largest
            integer; else the span of the data gets that of the integers.
        bias: a number, with axis one a channel; rounded to float. Only with
            scale, and then 0 by default.
        axis: quantize each channel of this axis by itself; negative counts from
            the end.

    Returns:
        A QTensor.

    Raises:
        TypeError: ``array`` is not of real numbers.
        ValueError: it has masked values.
        RuntimeError: an argument is wrong, or a value is NaN or infinite.
    """
    array = floats(array, "array")
    arguments = {"precision": int(precision), "signed": int(bool(signed)), "axis": axis}
    for name, plural, value in (("scale", "scales", scale), ("bias", "biases", bias)):
        if value is None:
            continue
        if axis is None:
            arguments[name] = float(value)
        elif np.ndim(value) != 1:
            raise ValueError("%s is %r, expected with axis a number a channel"
                             % (name, value))
        else:
            arguments[plural] = [float(each) for each in value]
    ensure_loaded()
    _, workspace = host()
    scratch = workspace.C.Workspace()
    scratch.feed_blob("X", array)
    _operators.run(_operators.make("QTensorQuantize", ["X"], ["Q"], arguments), scratch)
    return _read_blob("Q", scratch.blobs["Q"].serialize("Q"))


def from_integers(integers, precision=None, signed=None, scale=1.0, bias=0.0, axis=None):
    """Packs integers as they are.

    Args:
        integers: an array of an integer type.
        precision: bits of magnitude, 1 to 64; by default as many as the largest
            magnitude needs.
        signed: whether there is a plane of signs; by default if one is negative.
        scale: a number, with axis one above 0 a channel.
        bias: a number, with axis one a channel, or 0 for all.
        axis: the dimension of the channels.

    Returns:
        A QTensor.

    Raises:
        TypeError: the array is of another type.
        ValueError: an integer does not fit, or an argument is wrong.
    """
    integers = as_array(integers, "integers")
    if integers.dtype.kind not in "iub" and integers.size:
        raise TypeError("integers is an array of %s, expected an integer type"
                        % integers.dtype)
    low = int(integers.min()) if integers.size else 0
    high = int(integers.max()) if integers.size else 0
    if precision is None:
        precision = max(1, max(-low, high).bit_length())
    _check_precision(precision, MAX_PRECISION)
    if signed is None:
        signed = low < 0
    largest = 2 ** int(precision) - 1
    smallest = -largest if signed else 0
    if low < smallest or high > largest:
        raise ValueError("integers go from %d to %d, expected %d to %d (%d bits, %s)"
                         % (low, high, smallest, largest, precision,
                            "signed" if signed else "not signed"))
    flat = integers.ravel()
    negative = flat < 0
    magnitudes = flat.astype(np.uint64)  # below 0: two's complement
    magnitudes[negative] = ~magnitudes[negative] + np.uint64(1)
    one = np.uint64(1)
    planes = [np.packbits(((magnitudes >> np.uint64(bit)) & one).astype(np.uint8)).tobytes()
              for bit in range(int(precision))]
    if signed:
        planes.append(np.packbits(negative).tobytes())
    planes = b"".join(planes)
    if axis is None:
        return QTensor(integers.shape, precision, signed, planes, scale, bias)
    if np.ndim(bias) == 0 and bias == 0:
        bias = None
    return QTensor(integers.shape, precision, signed, planes, axis=axis, scales=scale,
                   biases=bias)


def from_proto(proto):
    """Makes a QTensor of a ``caffe2_pb2.QTensorProto``.

    Raises:
        ValueError: the message is no valid QTensor; the error names the field,
            the value found and the value expected.
    """
    return _from_fields(proto, None)


def fetch(name):
    """Fetches a QTensor blob of the current workspace.

    Args:
        name: the blob.

    Returns:
        A QTensor.

    Raises:
        KeyError: there is no such blob.
        TypeError: it is no QTensor.
        RuntimeError: it is one that cannot be written, such as one whose planes
            were never set.
    """
    ensure_loaded()
    _, workspace = host()
    name = str(name)
    if not workspace.HasBlob(name):
        raise KeyError("there is no blob '%s' in the workspace" % name)
    try:
        message = workspace.SerializeBlob(name)
    except RuntimeError as error:
        own = _operators.own_message("%s '%s'" % (_TYPE, name), str(error))
        if own is not None:
            raise RuntimeError(own) from None
        # The host can serialize tensors, strings and a few more.
        raise TypeError("blob '%s' is of a type that cannot be serialized, expected "
                        "a QTensor" % name) from error
    return _read_blob(name, message)


def feed(name, tensor):
    """Makes a blob of the current workspace a QTensor.

    The host reads it by protobuf, some 50 times slower than QTensorLoad reads a file
    of ``save``.

    Args:
        name: the blob.
        tensor: a QTensor.
    """
    ensure_loaded()
    _, workspace = host()
    name = str(name)
    try:
        workspace.DeserializeBlob(name, _write_blob(name, tensor))
    except RuntimeError as error:
        own = _operators.own_message("%s '%s'" % (_TYPE, name), str(error))
        if own is None:
            raise
        raise RuntimeError(own) from None


def save(path, tensors):
    """Writes QTensors to a minidb file, which Load and QTensorLoad read.

    It is written beside its place and renamed: readers see the old file or the
    new one.

    Args:
        path: the file.
        tensors: a dict of QTensors by the names of their blobs.
    """
    path = os.fspath(path)
    beside = "%s.%d.%d.tmp" % (path, os.getpid(), next(_counter))
    try:
        with open(beside, "wb") as stream:
            for name, tensor in tensors.items():
                key = str(name).encode("utf-8")
                message = _write_blob(str(name), tensor)
                stream.write(struct.pack("=ii", len(key), len(message)))
                stream.write(key)
                stream.write(message)
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.remove(beside)
        raise


def load(path):
    """Reads the QTensors of a file by the operator QTensorLoad.

    Args:
        path: a minidb, such as ``save`` or Save writes, or a file of one BlobProto.

    Returns:
        A dict of QTensors by the names of their blobs; blobs that are none are
        left out. The user's workspace is not touched.

    Raises:
        RuntimeError: the file cannot be read; the message says where.
    """
    ensure_loaded()
    _, workspace = host()
    scratch = workspace.C.Workspace()
    _operators.run(_operators.make(
        "QTensorLoad", [], [], {"db": os.path.abspath(os.fspath(path)),
                                "absolute_path": 1, "load_all": 1}), scratch)
    found = {}
    for name, blob in sorted(scratch.blobs.items()):
        if not blob.is_tensor():
            tensor = _read_blob(name, blob.serialize(name), other=None)
            if tensor is not None:
                found[name] = tensor
    return found


def fill_ops(name, tensor):
    """Makes the operators that fill a blob from a QTensor, for an init net.

    Args:
        name: the blob of floats to fill; the QTensor goes to ``name`` + "_q".
        tensor: a QTensor.

    Returns:
        Two OperatorDefs: GivenQTensorFill, QTensorDequantize.
    """
    name = str(name)
    fill = _operators.make("GivenQTensorFill", [], [name + "_q"], {})
    fill.arg.add(name="qtensors").qtensors.extend([_of_type(tensor).to_proto(name + "_q")])
    return [fill, _operators.make("QTensorDequantize", [name + "_q"], [name], {})]


_counter = itertools.count()


# --- Checks -------------------------------------------------------------------


def _check_precision(precision, largest):
    if not 1 <= precision <= largest or precision != int(precision):
        raise ValueError("precision is %r, expected 1 to %d" % (precision, largest))


def _check_number(name, value, above_0=False):
    if not math.isfinite(value) or (above_0 and value <= 0):
        raise ValueError("%s is %r, expected a finite number%s"
                         % (name, value, " above 0" if above_0 else ""))


def _channels(dims, axis, scales, biases):
    """Returns axis, scales and biases as a QTensor keeps them."""
    if not -len(dims) <= axis < len(dims):
        raise ValueError("axis is %d, expected %d to %d (the tensor has %d dims)"
                         % (axis, -len(dims), len(dims) - 1, len(dims)))
    axis = int(axis) % len(dims)
    if scales is None or np.ndim(scales) != 1:
        raise ValueError("scales is %r, expected with axis a number a channel" % (scales,))
    scales = tuple(float(each) for each in scales)
    biases = ((0.0,) * len(scales) if biases is None
              else tuple(float(each) for each in biases))
    for name, values in (("scales", scales), ("biases", biases)):
        if len(values) != dims[axis]:
            raise ValueError("%s has %d elements, expected %d (dims[%d])"
                             % (name, len(values), dims[axis], axis))
        for index, value in enumerate(values):
            _check_number("%s[%d]" % (name, index), value, above_0=name == "scales")
    return axis, scales, biases


def _of_type(tensor):
    if not isinstance(tensor, QTensor):
        raise TypeError("expected a QTensor, found a %s; from_numpy makes one of an array"
                        % type(tensor).__name__)
    return tensor


def _count(dims):
    count = 1
    for dim in dims:
        count *= dim
    return count


def _plane_bytes(count):
    return (count + 7) // 8


# --- Messages -----------------------------------------------------------------


def _pb():
    host()  # says what is missing
    from caffe2.proto import caffe2_pb2
    return caffe2_pb2


def _from_fields(proto, planes):
    """Makes a QTensor of a QTensorProto; `planes` replaces its data unless None."""
    for name in ("precision", "scale", "bias", "is_signed"):
        if not proto.HasField(name):
            raise ValueError("%s is missing, expected once" % name)
    if planes is None:
        data = np.array(proto.data, dtype=np.int64)
        wrong = np.flatnonzero((data < 0) | (data > 255))
        if wrong.size:
            raise ValueError("data[%d] is %d, expected 0 to 255"
                             % (wrong[0], data[wrong[0]]))
        planes = data.astype(np.uint8).tobytes()
    channels = {}
    if proto.is_multiparam:
        if proto.axis < 0:  # in a message it does not count from the end
            raise ValueError("axis is %d, expected 0 to %d (the tensor has %d dims)"
                             % (proto.axis, len(proto.dims) - 1, len(proto.dims)))
        channels = {"axis": proto.axis, "scales": list(proto.scales),
                    "biases": list(proto.biases)}
    return QTensor(proto.dims, proto.precision, proto.is_signed, planes, proto.scale,
                   proto.bias, **channels)


def _write_blob(name, tensor):
    """Returns a QTensor as the bytes of a BlobProto, those that the host writes.

    protobuf would make an int object of every byte of the planes: `data` is
    encoded here.
    """
    head, tail = _of_type(tensor)._proto_parts(name)
    planes = np.frombuffer(tensor.planes, dtype=np.uint8)
    above = planes > 127  # two bytes: itself and 1
    size = planes.size + int(np.count_nonzero(above))
    if size > _MAX_MESSAGE_BYTES:
        raise ValueError("QTensor '%s': its message takes at least %d bytes, expected at "
                         "most %d, the limit of protobuf; split the tensor along a "
                         "dimension, or use fewer bits"
                         % (name, size, _MAX_MESSAGE_BYTES))
    if size == planes.size:
        data = tensor.planes
    else:
        where = np.arange(planes.size)
        where[1:] += np.cumsum(above[:-1])
        wire = np.ones(size, dtype=np.uint8)
        wire[where] = planes
        data = wire.tobytes()
    if data:
        data = b"\x32" + _varint(len(data)) + data
    qtensor = (head.SerializeToString(), data, tail.SerializePartialToString())
    blob = _pb().BlobProto(name=name, type=_TYPE).SerializeToString()
    return b"".join((blob, b"\x2a", _varint(sum(len(each) for each in qtensor)))
                    + qtensor)


def _read_blob(name, message, other=TypeError):
    """Makes a QTensor of what a blob was serialized to.

    Args:
        name: the blob, for the error.
        message: the bytes of a BlobProto.
        other: what to raise when the blob is of another type, or None: return None.
    """
    blob = _pb().BlobProto()
    planes = None
    parts = _without_data(message)
    if parts is None:  # not in the form that it is usually written in
        blob.ParseFromString(message)
    else:
        rest, planes = parts
        # The rest is a whole message but for the data, which is not required.
        blob.ParseFromString(rest)
    if blob.type != _TYPE:
        if other is None:
            return None
        raise other("blob '%s' is of type '%s', expected a QTensor" % (name, blob.type))
    try:
        return _from_fields(blob.qtensor, planes)
    except ValueError as error:
        raise ValueError("QTensor '%s': %s" % (name, error)) from None


def _without_data(message):
    """Takes the planes out of the bytes of a BlobProto.

    Only the form that serializers write is taken apart: no groups, one `qtensor`,
    one packed `data`, each varint in it of one byte, or of two for 128 to 255.

    Returns:
        The message without `data`, and the planes; None when its form is another.
    """
    try:
        outer = list(_fields(message, 0, len(message)))
        qtensors = [each for each in outer if each[0] == 0x2a]
        if len(qtensors) != 1:
            return None
        _, start, begin, end = qtensors[0]
        found = [each for each in _fields(message, begin, end) if each[0] >> 3 == 6]
        if not found:
            return message, b""
        if len(found) != 1 or found[0][0] != 0x32:
            return None
    except (IndexError, ValueError):
        return None
    _, data_start, data_begin, data_end = found[0]
    wire = np.frombuffer(message, dtype=np.uint8, count=data_end - data_begin,
                         offset=data_begin)
    first = np.empty(wire.size, dtype=bool)  # of a varint
    first[:1] = True
    np.less(wire[:-1], 128, out=first[1:])
    if (wire.size and wire[-1] > 127) or not np.all(first | (wire == 1)):
        return None
    inner = message[begin:data_start] + message[data_end:end]
    rest = message[:start] + b"\x2a" + _varint(len(inner)) + inner + message[end:]
    return rest, wire[first].tobytes()


def _fields(message, at, end):
    """Yields (tag, start of the field, begin and end of its content)."""
    while at < end:
        start = at
        tag, at = _read_varint(message, at)
        wire_type = tag & 7
        begin = at
        if wire_type == 0:
            _, at = _read_varint(message, at)
        elif wire_type == 1:
            at += 8
        elif wire_type == 2:
            size, begin = _read_varint(message, at)
            at = begin + size
        elif wire_type == 5:
            at += 4
        else:
            raise ValueError("a group")
        if at > end:
            raise ValueError("cut short")
        yield tag, start, begin, at


def _read_varint(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def _varint(value):
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
