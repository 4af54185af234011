#!/usr/bin/env python3
"""Writes the seeds of the decoder's fuzz target: small messages, one for each form that the wire allows.

    tests/fuzz/make_seeds.py            into corpus/qtensor_decoder/, beside what fuzzing has added there

Needs Python alone; the wire form is written by hand, since no protobuf writer makes half of these.
"""

import pathlib
import struct

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = range(6)

# Fields of BlobProto and QTensorProto.
NAME, TYPE, TENSOR, CONTENT, QTENSOR = 1, 2, 3, 4, 5
DIMS, PRECISION, SCALE, BIAS, IS_SIGNED, DATA = range(1, 7)
TENSOR_NAME, DATA_TYPE, SCALES, BIASES, AXIS, IS_MULTIPARAM = range(7, 13)


def varint(value, padding=0):
    """`padding` adds that many bytes that say nothing."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80 or padding:
        if value < 0x80:
            padding -= 1
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number, wire_type, padding=0):
    return varint(number << 3 | wire_type, padding)


def integer(number, value, padding=0):
    return tag(number, VARINT) + varint(value, padding)


def double(number, value):
    return tag(number, FIXED64) + struct.pack("<d", value)


def fixed32(number, value):
    return tag(number, FIXED32) + struct.pack("<I", value)


def string(number, value, padding=0):
    return tag(number, BYTES) + varint(len(value), padding) + value


def group(number, inner):
    return tag(number, GROUP) + inner + tag(number, GROUP_END)


def packed(values, padding=0):
    return b"".join(varint(value, padding) for value in values)


def header(dims, precision, signed, scale=0.5, bias=0.0):
    return (
        b"".join(integer(DIMS, dim) for dim in dims)
        + integer(PRECISION, precision)
        + double(SCALE, scale)
        + double(BIAS, bias)
        + integer(IS_SIGNED, signed)
    )


def blob(tensor, name=b"w", blob_type=b"QTensor"):
    return string(NAME, name) + string(TYPE, blob_type) + string(QTENSOR, tensor)


def plane_bytes(count):
    return [(i * 73 + 200) & 0xFF for i in range(count)]


def seeds():
    small = header([2, 3], 3, 1)
    planes = [0xAC, 0x64, 0x0C, 0x48]
    data = string(DATA, packed(planes))
    whole = small + data + string(TENSOR_NAME, b"w")

    # The target reads its input as the tensor alone, too.
    yield "tensor_alone", whole
    yield "tensor_alone_unsigned", header([3, 5], 2, 0) + string(DATA, packed(plane_bytes(4)))

    yield "signed", blob(whole)
    yield "unsigned", blob(header([2, 3], 4, 0) + data)
    yield "one_bit", blob(header([64], 1, 0) + string(DATA, packed(plane_bytes(8))))
    yield "sixteen_bits", blob(header([9], 16, 1) + string(DATA, packed(plane_bytes(34))))
    yield "sixty_four_bits", blob(header([1], 64, 1) + string(DATA, packed(plane_bytes(65))))
    yield "wide", blob(header([40, 20], 4, 1, -0.125, -7) + string(DATA, packed(plane_bytes(500))))
    yield "bytes_below_128", blob(header([256], 8, 0) + string(DATA, bytes(i & 0x7F for i in range(256))))
    yield "bytes_above_127", blob(header([256], 8, 0) + string(DATA, packed(0x80 | i & 0x7F for i in range(256))))
    yield "no_elements", blob(header([0, 5], 8, 0))
    yield "no_dims", blob(header([], 8, 0))
    yield "scalar", blob(header([], 2, 1) + string(DATA, bytes(3)))

    channels = double(SCALES, 0.5) + double(SCALES, 2) + double(BIASES, 1) + double(BIASES, -1)
    per_channel = whole + integer(DATA_TYPE, 1) + channels + integer(IS_MULTIPARAM, 1)
    yield "per_channel", blob(per_channel)
    yield "tensor_alone_per_channel", per_channel
    packed_channels = string(SCALES, struct.pack("<3d", 1, 2, 3)) + string(BIASES, struct.pack("<3d", 0, 0, 9))
    yield "per_channel_axis_1", blob(whole + packed_channels + integer(AXIS, 1) + integer(IS_MULTIPARAM, 1))
    yield "extras_only_kept", blob(whole + channels + integer(AXIS, 77) + integer(IS_MULTIPARAM, 0))
    yield "per_channel_too_few", blob(whole + double(SCALES, 1) + integer(IS_MULTIPARAM, 1))
    yield "channels_in_pieces", blob(
        double(BIASES, 1) + string(SCALES, struct.pack("<2d", 1, 2)) + string(BIASES, b"") + whole + double(SCALES, 3)
        + integer(IS_MULTIPARAM, 1) + string(BIASES, struct.pack("<2d", 2, 3)) + integer(AXIS, 1)
    )
    yield "channels_over_parts", blob(whole + string(SCALES, struct.pack("<d", 1))) + string(
        QTENSOR, integer(IS_MULTIPARAM, 1) + double(BIASES, 0) + double(SCALES, 2)
    ) + string(QTENSOR, string(BIASES, struct.pack("<d", 9)))
    yield "channels_cut_off", blob(whole + string(SCALES, struct.pack("<d", 1)[:7]))
    yield "unknown_data_type", blob(whole + integer(DATA_TYPE, 4711))

    yield "not_packed", blob(small + b"".join(integer(DATA, value) for value in planes))
    yield "in_pieces", blob(
        string(DATA, packed(planes[:1])) + small + integer(DATA, planes[1]) + string(DATA, b"")
        + string(DATA, packed(planes[2:]))
    )
    yield "data_first", blob(data + small)
    yield "packed_dims", blob(
        string(DIMS, packed([2, 3])) + integer(PRECISION, 3) + double(SCALE, 1) + double(BIAS, 0)
        + integer(IS_SIGNED, 1) + data
    )
    for padding in (1, 3, 8):
        yield f"long_varints_{padding}", blob(small + string(DATA, packed(planes, padding)))
    yield "overlong_varint", blob(small + string(DATA, packed(planes, 10)))
    yield "bits_past_32", blob(small + string(DATA, packed(value + (5 << 32) for value in planes)))
    yield "long_tags", (
        tag(NAME, BYTES, 3) + varint(1) + b"w" + tag(TYPE, BYTES, 4) + varint(7, 4) + b"QTensor"
        + tag(QTENSOR, BYTES, 1) + varint(len(whole), 2) + whole
    )
    yield "long_integers", blob(
        integer(DIMS, 2, 4) + integer(DIMS, 3, 8) + integer(PRECISION, 3, 5) + double(SCALE, 1) + double(BIAS, 0)
        + integer(IS_SIGNED, 1, 9) + data
    )
    yield "split", (
        string(QTENSOR, small) + string(NAME, b"w") + string(QTENSOR, b"") + string(TYPE, b"QTensor")
        + string(QTENSOR, data)
    )
    yield "data_split_over_parts", (
        string(NAME, b"w") + string(QTENSOR, string(DATA, packed(planes[:2])) + small) + string(TYPE, b"QTensor")
        + string(QTENSOR, string(DATA, packed(planes[2:])))
    )
    yield "last_one_wins", string(NAME, b"v") + string(TYPE, b"Tensor") + blob(
        integer(PRECISION, 77) + double(SCALE, float("nan")) + integer(IS_SIGNED, 0) + whole
    )

    nested = integer(1, 5) + group(6, string(6, b"zz")) + fixed32(3, 1)
    unknown = integer(99, 1) + double(98, 2) + fixed32(97, 3) + string(96, b"x" * 20) + group(95, nested)
    yield "unknown_fields", unknown + blob(unknown + whole + unknown) + unknown
    yield "known_numbers_of_other_types", (
        group(9, nested) + integer(QTENSOR, 1) + fixed32(NAME, 1)
        + blob(group(DATA, nested) + fixed32(DIMS, 3) + double(DATA, 1) + string(PRECISION, b"ab") + whole)
    )
    other_fields = string(CONTENT, b"content") + string(TENSOR, b"") + integer(6, 1) + integer(7, 2)
    yield "other_blob_fields", other_fields + blob(whole)
    yield "deep_groups", b"".join(tag(50, GROUP) for _ in range(90)) + b"".join(
        tag(50, GROUP_END) for _ in range(90)
    ) + blob(whole)
    yield "too_deep_groups", b"".join(tag(50, GROUP) for _ in range(120))
    yield "no_name", string(TYPE, b"QTensor") + string(QTENSOR, whole)
    yield "empty_names", blob(whole + string(TENSOR_NAME, b""), b"")

    # Refused ones.
    yield "truncated", blob(whole)[:-9]
    yield "truncated_in_data", blob(small + string(DATA, packed(planes) + b"\x80"))
    yield "value_of_256", blob(small + string(DATA, packed([256] + planes[1:])))
    yield "negative_value", blob(small + string(DATA, packed([-1] + planes[1:])))
    yield "too_little_data", blob(small + string(DATA, packed(planes[1:])))
    yield "too_much_data", blob(small + string(DATA, packed(planes * 2)))
    yield "missing_precision", blob(integer(DIMS, 8) + double(SCALE, 1) + double(BIAS, 0) + integer(IS_SIGNED, 0))
    yield "precision_0", blob(header([8], 0, 0))
    yield "precision_65", blob(header([8], 65, 0) + string(DATA, bytes(65)))
    yield "precision_256", blob(header([8], 256, 0))
    yield "negative_dim", blob(header([-1], 8, 0))
    yield "huge_dims", blob(header([2147483646, 2147483646, 3], 8, 0) + string(DATA, bytes(8)))
    yield "huge_dims_and_none", blob(header([2147483646, 2147483646, 0], 8, 0))
    yield "infinite_scale", blob(header([8], 1, 0, float("inf")) + string(DATA, b"\x01"))
    yield "length_beyond_the_end", string(NAME, b"w") + tag(QTENSOR, BYTES) + varint(1 << 30) + b"\x08"
    yield "field_0", blob(whole) + b"\x00"
    yield "field_0_inside", blob(whole + b"\x00")
    yield "wire_type_6", blob(whole) + tag(3, 6)
    yield "wrong_type", blob(whole, blob_type=b"Tensor")
    yield "no_type", string(QTENSOR, whole)
    yield "no_qtensor", string(TYPE, b"QTensor")
    yield "empty", b""


def main():
    folder = pathlib.Path(__file__).resolve().parent / "corpus" / "qtensor_decoder"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in seeds():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
