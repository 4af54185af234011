"""Images on the command line's way to a net, against Pillow."""

import io
import json
import os
import struct
import subprocess
import zlib

import numpy as np
import pytest

import conftest
from caffe2.proto import caffe2_pb2
from caffe2.python import core

Image = pytest.importorskip("PIL.Image")

BINARY = os.path.join(os.path.dirname(os.path.dirname(conftest.PLUGIN)), "bin", "caffe2-quantize")
HEIGHT, WIDTH = 5, 6


def write(path, proto):
    path.write_bytes(proto.SerializeToString())


def decoded(folder, images, *options):
    """What a net gets of images, as an array [N, 3, HEIGHT, WIDTH].

    The net gives each value an output of its own, whose range a profile has.
    """
    if not os.path.exists(BINARY):
        pytest.skip("no caffe2-quantize beside the plugin")
    (folder / "images").mkdir()
    for index, (name, data) in enumerate(images):
        (folder / "images" / ("%03d.%s" % (index, name))).write_bytes(data)
    count = len(images) * 3 * HEIGHT * WIDTH
    predict = caffe2_pb2.NetDef(name="pixels", external_input=["data"])
    predict.op.extend([
        core.CreateOperator("FlattenToVec", ["data"], ["flat"]),
        core.CreateOperator("Split", ["flat"], ["v%d" % i for i in range(count)], axis=0)])
    init = caffe2_pb2.NetDef(name="init")
    init.op.extend([core.CreateOperator("ConstantFill", [], ["unused"], shape=[1])])
    write(folder / "predict.pb", predict)
    write(folder / "init.pb", init)
    done = subprocess.run(
        [BINARY, "calibrate", "--quiet", "--init", str(folder / "init.pb"), "--predict",
         str(folder / "predict.pb"), "--data", str(folder / "images"), "--batch-size",
         str(len(images)), "--histogram-bins", "0", "--op-type", "Split", "-o",
         str(folder / "p.json")] + list(options),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 0, done.stderr
    with open(str(folder / "p.json")) as stream:
        outputs = json.load(stream)["operators"][0]["outputs"]
    values = {each["output_index"]: each["range"]["min"] for each in outputs}
    return np.array([values[i] for i in range(count)]).reshape(
        len(images), -1, HEIGHT, WIDTH)


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(color, depth, rows):
    def chunk(name, data):
        return (struct.pack(">I", len(data)) + name + data
                + struct.pack(">I", zlib.crc32(name + data)))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, color, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
            + chunk(b"IEND", b""))


def pnm(form, maxval, samples):
    head = b"P%d\n# made by a test\n%d %d\n%d\n" % (form, WIDTH, HEIGHT, maxval)
    if form < 4:
        return head + b" ".join(b"%d" % each for each in samples.ravel()) + b"\n"
    return head + samples.astype(">u2" if maxval > 255 else "u1").tobytes()


def cases():
    """Yields extension, bytes, and how far a value may be from Pillow's."""
    rng = np.random.RandomState(20261130)
    pixels = rng.randint(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    rgb = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    smooth = Image.fromarray(rng.randint(0, 256, (2, 2, 3), dtype=np.uint8)).resize(
        (WIDTH, HEIGHT), Image.BICUBIC)
    grey = Image.fromarray(np.ascontiguousarray(pixels[..., 0]))
    images = {"RGB": rgb, "RGBA": Image.fromarray(pixels), "L": grey, "1": grey.convert("1"),
              "LA": Image.merge("LA", (grey, grey.rotate(180)))}
    images.update(("P%d" % colors, rgb.quantize(colors)) for colors in (2, 4, 16, 200))
    for name, image in images.items():
        yield "png", saved(image, "PNG"), 0
        if name != "LA":
            yield "bmp", saved(image, "BMP"), 0
    yield "png", saved(images["P16"], "PNG", transparency=3), 0
    yield "png", saved(rgb, "PNG", transparency=tuple(rgb.getpixel((1, 1)))), 0
    for color, channels in ((2, 3), (6, 4)):
        deep = rng.randint(0, 65536, (HEIGHT, WIDTH, channels)).astype(">u2")
        yield "png", png(color, 16, [row.tobytes() for row in deep]), 0
    for options in ({}, {"progressive": True}, {"subsampling": 0}):
        yield "jpg", saved(smooth, "JPEG", quality=95, **options), 3
    yield "jpeg", saved(smooth.convert("L"), "JPEG", quality=95), 3
    yield "jpg", saved(smooth.convert("CMYK"), "JPEG", quality=95), 3
    for maxval in (1, 3, 15, 100, 254, 255, 1023, 65535):
        for form, channels in ((2, 1), (3, 3), (5, 1), (6, 3)):
            samples = rng.randint(0, maxval + 1, (HEIGHT, WIDTH, channels))
            yield ("ppm" if channels == 3 else "pgm"), pnm(form, maxval, samples), 1


def of_pillow(data):
    image = Image.open(io.BytesIO(data))
    if image.mode.startswith("I"):  # 16 bits, which convert("RGB") would cut off at 255
        return np.repeat(np.array(image)[None] // 256, 3, 0)
    return np.array(image.convert("RGB")).transpose(2, 0, 1)


def test_every_kind_is_read_as_pillow_reads_it(tmp_path):
    kinds = list(cases())
    found = decoded(tmp_path, [(name, data) for name, data, _ in kinds])
    for index, (name, data, tolerance) in enumerate(kinds):
        difference = np.abs(found[index] - of_pillow(data)).max()
        assert difference <= tolerance, (index, name, data[:30], difference)


def test_an_image_that_is_cut_is_refused_by_name(tmp_path):
    samples = np.full((HEIGHT, WIDTH, 3), 7)
    whole = pnm(6, 255, samples)
    with pytest.raises(AssertionError, match=r"001.ppm: no image that can be read \(it is cut "
                                             r"short: 89 bytes behind its header, expected 90"):
        decoded(tmp_path, [("ppm", whole), ("ppm", whole[:-1])])
