"""Running a net over data, to a profile; killed at any moment, it goes on."""

import contextlib
import itertools
import os
import sys
import tempfile
import warnings

import numpy as np

from caffe2_quantization import _names, observers
from caffe2_quantization._arrays import blob_value
from caffe2_quantization._library import ensure_loaded, host
from caffe2_quantization._path_lock import locked
from caffe2_quantization.profiles import read_profile


def calibrate(net, batches, output=None, histogram_bins=2048, checkpoint_every=100,
              resume=True, progress=None, inputs=None, **options):
    """Runs a net over data and measures every output.

    Parameters must be in the current workspace; the net is created there if it is
    not, when the first batch has been fed. Memory does not grow with the batches.

    Args:
        net: a ``core.Net``, a NetDef, or the name of a net that CreateNet has made.
        batches: an iterable of dicts {blob: array}, or of tuples (or lists) of
            arrays in the order of the inputs. One array is a tuple of one. A blob
            gets an array's own type, in the machine's byte order: float16, 32, 64,
            int8, 16, 32, 64, uint8, 16, bool or strings; lists and Python's numbers
            float32, int64 or bool; torch tensors their values.
        output: the profile to write: JSON if it ends in ".json". The measurement so
            far is kept in ``output`` + ".checkpoint", and ``output`` + ".lock" keeps
            other processes out. By default no file.
        histogram_bins: of each output's histogram, at most; 0: no histograms.
        checkpoint_every: how many batches lie between two checkpoints; 0: none.
        resume: go on from the checkpoint that an earlier call left, which skips the
            batches that are in it: they must come in the same order. False starts
            anew.
        progress: True for a bar on standard error, which needs tqdm, False for
            none; by default one if that is a terminal and there is tqdm.
        inputs: the blobs that the arrays of a tuple go to. By default the net's
            inputs that the workspace does not have yet.
        **options: as of ``observers.attach``: ``op_types``, ``every`` and so on;
            ``observer`` too, if the net is observed already.

    Returns:
        The profile, as ``profiles.read_profile`` gives it.

    Raises:
        RuntimeError: the net fails, ``output`` cannot be written or is another
            process's, or the checkpoint is of another net or other options. The
            checkpoint stays.
        TypeError: an option that there is not.
        ValueError: a batch does not fit the net, has an array of another type or
            masked values, or there are fewer batches than the checkpoint holds.
    """
    _names.check_options(calibrate, options, observers.OPTIONS + (
        "op_types", "outputs", "path", "dump_freq"))
    ensure_loaded()
    with contextlib.ExitStack() as stack:
        if output is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            output, checkpoint = os.path.join(folder, "profile"), None
        else:
            output = os.fspath(output)
            stack.enter_context(locked(output))
            checkpoint = output + ".checkpoint"
            if not resume:
                _remove(checkpoint)
        run = _Run(net, inputs, checkpoint, checkpoint_every)
        batches, total = iter(batches), _length(batches)
        first = list(itertools.islice(batches, 1))
        if not first:
            raise ValueError("there is no batch")
        run.feed(first[0])
        stack.callback(run.finish)
        run.start(histogram_bins, options)
        bar = stack.enter_context(_progress_bar(progress, total, run.resumed))
        skipped = 0
        for batch in itertools.chain(first, batches):
            if skipped < run.resumed:
                skipped += 1
                continue
            run.step(batch)
            bar.update()
        if skipped < run.resumed:
            raise ValueError("there are %d batches, but '%s' holds %d: it is of other "
                             "data; pass resume=False to start anew"
                             % (skipped, checkpoint, run.resumed))
        run.write(output)
        if checkpoint is not None:
            _remove(checkpoint)
    return run.profile


class _Run(object):
    """A calibration on its way.

    Attributes:
        resumed: how many batches the checkpoint holds that it goes on from.
        profile: what ``write`` wrote.
    """

    def __init__(self, net, inputs, checkpoint, checkpoint_every):
        _, self._workspace = host()
        self._net = net
        self._name = observers._net_name(net)
        self._known = None  # the net's inputs, if it is not a name alone
        if not isinstance(net, str):
            self._known = _inputs_of(net.Proto() if hasattr(net, "Proto") else net)
        if inputs is None and self._known is not None:
            inputs = [name for name in self._known if not self._workspace.HasBlob(name)]
        self._inputs = None if inputs is None else list(inputs)
        self._checkpoint = checkpoint
        self._every = checkpoint_every
        self._samples = 0
        self._observer = ""
        self._attached = False
        self._warned = False
        self._whole = True  # what is measured is of whole runs
        self._done = 0  # batches that the measurement holds
        self.resumed = 0
        self.profile = None

    def start(self, histogram_bins, options):
        if self._name not in self._workspace.C.nets():
            if isinstance(self._net, str):
                raise ValueError("there is no net '%s' in the workspace; pass the "
                                 "core.Net or NetDef to have it created" % self._net)
            self._workspace.CreateNet(self._net)
        held = None
        if self._checkpoint is not None and os.path.exists(self._checkpoint):
            held = self._checkpoint
            profile = read_profile(held)
            if profile["checkpoint"] is not None:
                raise RuntimeError("'%s' is a checkpoint of caffe2-quantize calibrate, "
                                   "which alone can go on from it; pass resume=False to "
                                   "start anew" % held)
            self.resumed = self._done = profile["runs"]
            self._samples = profile["samples"]
        self._observer = options.get("observer", "")
        observers.attach(self._name, histogram_bins=histogram_bins, resume_from=held,
                         **options)
        self._attached = True

    def step(self, batch):
        samples = self.feed(batch)
        self._whole = False
        self._workspace.RunNet(self._name)
        self._done += 1
        self._samples += samples
        self._whole = True
        if self._checkpoint and self._every and self._done % self._every == 0:
            self._write_checkpoint()

    def feed(self, batch):
        """Feeds a batch; returns how many samples it holds."""
        arrays = {name: blob_value(array, "batch %d: blob '%s'" % (self._done, name))
                  for name, array in self._named(batch).items()}
        for name, array in arrays.items():
            self._workspace.FeedBlob(name, array)
        shapes = [np.shape(array) for array in arrays.values()]
        return next((shape[0] for shape in shapes if shape), 1)

    def write(self, path):
        self._dump(path)
        self.profile = read_profile(path)

    def finish(self):
        """Ends the measurement; one that is not complete goes to the checkpoint."""
        if not self._attached:
            return
        if self.profile is None and self._checkpoint and self._whole and self._done:
            self._write_checkpoint()
        observers.detach(self._name, self._observer)

    def _write_checkpoint(self):
        """A failure costs the checkpoint, not the run; it is told once."""
        try:
            self._dump(self._checkpoint)
        except RuntimeError as error:
            if not self._warned:
                self._warned = True
                warnings.warn("no checkpoint: %s" % error, RuntimeWarning, stacklevel=4)

    def _dump(self, path):
        observers.dump(self._name, path, self._observer, samples=self._samples,
                       format="profile_json" if path.endswith(".json") else "profile")

    def _named(self, batch):
        """Returns a batch as a dict."""
        if isinstance(batch, dict):
            if self._known is not None:
                unknown = sorted(set(batch).difference(self._known))
                if unknown:
                    raise ValueError("a batch has '%s', but net '%s' has no such input; "
                                     "it has '%s'" % ("', '".join(unknown), self._name,
                                                      "', '".join(self._known)))
            return batch
        if not isinstance(batch, (tuple, list)):
            batch = (batch,)
        if self._inputs is None:
            raise ValueError("a batch is no dict: pass inputs, the names of its arrays")
        if len(batch) != len(self._inputs):
            raise ValueError("a batch has %d arrays, but there are %d inputs: '%s'; pass "
                             "inputs, or dicts" % (len(batch), len(self._inputs),
                                                   "', '".join(self._inputs)))
        return dict(zip(self._inputs, batch))


def _inputs_of(definition):
    """Returns what a NetDef reads and does not make, also where it does not say."""
    names = list(definition.external_input)
    known = set(names)
    for op in definition.op:
        names.extend(name for name in op.input if name not in known)
        known.update(op.input)
        known.update(op.output)
    return names


class _NoBar(object):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self):
        pass


def _progress_bar(progress, total, done):
    if progress is None and not sys.stderr.isatty() or progress is False:
        return _NoBar()
    try:
        from tqdm import tqdm
    except ImportError:
        if progress:
            raise
        return _NoBar()
    return tqdm(total=total, initial=done, unit=" batches", dynamic_ncols=True)


def _length(batches):
    try:
        return len(batches)
    except TypeError:
        return None


def _remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
