"""Measures the smallest and largest value of every output of a net.

    caffe2_quantization.load()
    workspace.CreateNet(net)
    with observers.observing(net, path="net.minmax") as observation:
        workspace.RunNet(net)
    for op in observation.info()["operators"]:
        for output in op["outputs"]:
            print(output["tensor_name"], output["min"], output["max"])

A net is given as a ``core.Net``, as a NetDef or by its name, and belongs to the
current workspace. Attach and detach while it is not running (an observer that is
there already makes it an error); all else may be called while it runs. NaN and
infinities are counted, and are no part of the range.

What is measured belongs to the process that attached: a child that is forked later
has no observer, records nothing and writes nothing until it attaches one itself.

Errors are RuntimeErrors with the message of the plugin's operator.
"""

import contextlib
import itertools
import json
import os

from caffe2_quantization import _names, _operators
from caffe2_quantization._callbacks import add_callback, remove_callback
from caffe2_quantization._library import host
from caffe2_quantization._text_files import (ColumnMaxLine, HistogramLine, MinMaxLine,
                                             read_column_max, read_histograms,
                                             read_minmax)

__all__ = [
    "ColumnMaxLine", "HistogramLine", "MinMaxLine", "Observation", "add_callback",
    "attach", "attach_to_later_nets", "detach", "dump", "dump_and_reset", "info",
    "observing", "read_column_max", "read_histograms", "read_minmax", "remove_callback",
    "reset", "resume", "stop", "stop_attaching_to_later_nets",
]

# What ``attach`` calls further options of the measurement.
OPTIONS = ("observer", "format", "delimiter", "op_names", "input_names",
           "histogram_bins", "column_max_blobs", "column_max_bins", "every",
           "run_limit")


def attach(net, path=None, dump_freq=None, op_types=None, outputs=None,
           resume_from=None, **options):
    """Starts measuring a net.

    Args:
        net: the net, which CreateNet has made.
        path: file of the dumps, written at the net's end or by ``detach``. By
            default only ``dump`` writes, to the file it names.
        dump_freq: every so many runs, write what was seen since the last time to
            "name_K.ext" beside ``path``, and start anew.
        op_types: observe only operators of these types.
        outputs: observe only operators that have one of these outputs.
        resume_from: a profile of the same net with the same options, to go on from.
        **options: further options of the measurement.

            observer: its label, "" by default; a net has one observer of a label.
            format: of the file: "min_max", "histogram", "column_max", "profile" or
                "profile_json". By default column maxima if they are asked for,
                else histograms if they are, else min and max.
            delimiter: what stands between two fields of the text forms: " ".
            op_names: observe only operators of these names.
            input_names: record these external inputs of the net, as each run
                begins. By default those that are data: not the weights of Conv, FC
                and the like; none if operators are chosen.
            histogram_bins: count every output's values in so many bins at most.
            column_max_blobs: of these outputs, which have two dimensions, count
                each column's maximum a run,
            column_max_bins: in so many bins at most (16).
            every: record every so many runs.
            run_limit: record no more than so many runs.

            ``op_types``, ``op_names``, ``outputs`` and ``input_names`` take the
            patterns of a shell: "*", "?" and "[a-z]". One that fits nothing in the
            net, or in a net within an operator, is an error.

    Raises:
        TypeError: an option that there is not.
    """
    _names.check_options(attach, options, OPTIONS)
    _run("Attach", net, path=_path(path), resume_from=_path(resume_from),
         dump_freq=dump_freq, **_options(op_types, outputs, **options))


def attach_to_later_nets(folder=None, dump_freq=None, op_types=None, outputs=None,
                         path=None, unique_paths=None, **options):
    """Starts measuring every net that is made from now on in this process.

    A second call with another ``observer`` adds one to each later net; with the
    same, it takes the place of the first.

    Args:
        folder: each net is dumped to "folder/<net name>.minmax". By default to
            no file.
        dump_freq: as of ``attach``.
        op_types: as of ``attach``.
        outputs: as of ``attach``.
        path: in place of ``folder``: the file that every net is dumped to.
        unique_paths: True adds a number of its own to each net's ``path``.
        **options: as of ``attach``; a pattern may fit nothing in a net.
    """
    _names.check_options(attach_to_later_nets, options, OPTIONS)
    _run("AttachToLaterNets", folder=_path(folder), path=_path(path),
         dump_freq=dump_freq,
         unique_paths=None if unique_paths is None else int(unique_paths),
         **_options(op_types, outputs, **options))


def stop_attaching_to_later_nets(observer=None):
    """Leaves nets that are made from now on alone.

    Args:
        observer: the label of the one to end; by default all.
    """
    _run("AttachToLaterNets", enable=0, observer=observer)


def info(net=None, observer=None, histograms=False):
    """Reads what was measured.

    Args:
        net: the net, which may be gone by now. By default all that were observed.
        observer: the observer's label; needed when the net has several.
        histograms: with the counts of the histograms.

    Returns:
        A dict with ``net``, ``observer``, ``runs``, ``stopped``, ``net_alive``,
        ``attached_at``, ``inputs`` and ``operators``, a list of dicts with ``path``
        ("3", or "3/then_net/2" of an operator within operator 3), ``op_index``,
        ``op_type``, ``op_name``, ``first_record``, ``last_record`` and ``outputs``,
        a list of dicts with ``output_index``, ``tensor_name``, ``type``, ``shape``,
        ``min`` and ``max`` (since the last reset), ``total_min`` and ``total_max`` (since
        attach), ``runs``, ``count``, ``nan``, ``positive_infinity``,
        ``negative_infinity`` and ``unsupported_runs``. A limit is None when
        there was no finite value. ``inputs`` are the external inputs as such dicts of
        outputs, with ``input_index`` in place of ``output_index``. Without ``net`` a
        list of all that.
    """
    _, workspace = host()
    blob = _unused_blob(workspace)
    try:
        _run("Info", net, blobs=[blob], observer=observer,
             histograms=1 if histograms else None)
        return json.loads(workspace.FetchBlob(blob)[0].decode("utf-8"))
    finally:
        _operators.remove_blob(blob)


def dump(net, path=None, observer=None, format=None, delimiter=None, samples=None,
         checkpoint=None):
    """Writes what was seen since attach.

    Args:
        net: the net, which may be gone by now.
        path: the file; by default the one given at attach.
        observer: the observer's label; needed when the net has several.
        format: as of ``attach``; by default the one given there.
        delimiter: likewise.
        samples: how many samples the net was fed, for the header of a profile.
        checkpoint: makes profiles from now on the checkpoint of an unfinished
            calibration: a pair of the batches done and a dict of the settings that
            it was started with. Without settings they are finished ones.
    """
    batches = settings = None
    if checkpoint is not None:
        batches, named = checkpoint
        settings = [text for pair in sorted(named.items()) for text in pair] or None
    _run("Dump", net, path=_path(path), observer=observer, format=format,
         delimiter=delimiter, samples=samples, checkpoint_batches=batches,
         checkpoint_settings=settings)


def dump_and_reset(net, path=None, observer=None, format=None, delimiter=None):
    """Writes what was seen since the last reset, and resets.

    When the file cannot be written nothing is reset.

    Args:
        net: the net, which may be gone by now.
        path: as of ``dump``, and so are the others.
        observer: see above.
        format: see above.
        delimiter: see above.
    """
    _run("Dump", net, path=_path(path), observer=observer, format=format,
         delimiter=delimiter, reset=1)


def reset(net, observer=None):
    """Forgets the values seen so far; totals and counts stay."""
    _run("Reset", net, observer=observer)


def stop(net, observer=None):
    """Records no run of a net until ``resume``."""
    _run("Stop", net, observer=observer)


def resume(net, observer=None):
    """Goes on recording after ``stop``."""
    _run("Resume", net, observer=observer)


def detach(net, observer=None):
    """Ends measuring a net, and forgets what was measured.

    If it was attached with a path, the totals are written there first.
    """
    _run("Detach", net, observer=observer)


class Observation(object):
    """What ``observing`` gives: the measurement of one net.

    Attributes:
        net: the net's name.
        observer: the observer's label.
    """

    def __init__(self, net, observer=None):
        self.net = _net_name(net)
        self.observer = observer or ""
        self._final = None

    def info(self):
        """Returns the measurement as the function ``info`` does, histograms and
        all; once the block has been left, as it was then."""
        if self._final is not None:
            return self._final
        return info(self.net, self.observer, histograms=True)


@contextlib.contextmanager
def observing(net, path=None, dump_freq=None, op_types=None, outputs=None, **options):
    """Measures a net while a block runs.

    Args:
        net: as of ``attach``, and so are the others.
        path: see above; written when the block is left.
        dump_freq: see above.
        op_types: see above.
        outputs: see above.
        **options: see above.

    Yields:
        Observation: whose ``info()`` still answers after the block.

    Raises:
        RuntimeError: the net cannot be observed, or ``path`` cannot be written;
            the observer then stays attached, with all that it measured.
    """
    _names.check_options(observing, options, OPTIONS + ("resume_from",))
    observation = Observation(net, options.get("observer"))
    attach(net, path, dump_freq, op_types, outputs, **options)
    try:
        yield observation
    except BaseException:
        # The block's error counts, whatever becomes of the measurement.
        with contextlib.suppress(RuntimeError):
            _finish(observation)
        raise
    else:
        _finish(observation)


def _finish(observation):
    observation._final = observation.info()
    detach(observation.net, observation.observer)


_counter = itertools.count()


def _unused_blob(workspace):
    while True:
        name = "_caffe2_quantization_info_%d" % next(_counter)
        if not workspace.HasBlob(name):
            return name


def _run(action, net=None, blobs=(), **arguments):
    """Runs OutputMinMaxObserver<action>, which has the outputs `blobs`."""
    if net is not None:
        arguments["net"] = _net_name(net)
    _operators.run(_operators.make("OutputMinMaxObserver" + action, [], list(blobs),
                                   arguments))


def _net_name(net):
    """Returns the name of a core.Net, a NetDef, or of what is a name itself."""
    if isinstance(net, str):
        return net
    name = getattr(net, "Name", None)
    if callable(name):
        return name()
    name = getattr(net, "name", None)
    if isinstance(name, str):
        return name
    raise TypeError("net is a %s, expected a core.Net, a NetDef or a name"
                    % type(net).__name__)


def _options(op_types, outputs, **options):
    """Returns what ``attach`` calls options as arguments of the operators."""
    arguments = dict(options, op_types=op_types, output_names=outputs)
    for name in ("op_types", "op_names", "output_names", "input_names",
                 "column_max_blobs"):
        arguments[name] = _list(arguments.get(name))
    return arguments


def _path(path):
    return None if path is None else os.fspath(path)


def _list(names):
    # A string is a sequence too, of names with one letter.
    if isinstance(names, str):
        return [names]
    return None if names is None else [str(name) for name in names]
