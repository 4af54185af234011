"""Running a net over data, to a profile; killed at any moment, it goes on."""

import contextlib
import itertools
import os
import sys
import tempfile
import time
import warnings

import numpy as np

from caffe2_quantization import _names, _operators, observers
from caffe2_quantization._arrays import blob_value
from caffe2_quantization._deferred_signals import DeferredSignals, Terminated
from caffe2_quantization._library import ensure_loaded, host
from caffe2_quantization._path_lock import locked
from caffe2_quantization.profiles import read_profile

# The form of a checkpoint's settings; one of before has none.
_FORM = ("form of the checkpoint", "caffe2_quantization.calibrate, 1")
_FIRST_BATCH = "values of the first batch"
_LAST_BATCH = "values of the last batch that was done"
# Parameters that have a setting each; of more, neighbours share one.
_MOST_LISTED = 1024
# A checkpoint by time costs at most this share of it.
_SECONDS_PER_SECOND_OF_WRITING = 50

_clock = time.monotonic


def calibrate(net, batches, output=None, histogram_bins=2048, checkpoint_every=100,
              resume=True, progress=None, inputs=None, checkpoint_seconds=10,
              **options):
    """Runs a net over data and measures every output.

    Parameters must be in the current workspace; the net is created there if it is
    not, when the first batch has been fed. Memory does not grow with the batches.

    One calibration at a time in a process: the current workspace is one for all
    threads, and nets of several names may share the blobs of their inputs. While it
    runs nobody else may feed those blobs or switch the workspace.

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
        checkpoint_every: how many batches lie between two checkpoints; 0: none but
            when it is stopped.
        resume: go on from the checkpoint that an earlier call left, which skips the
            batches that are in it: they must come in the same order. False starts
            anew.
        progress: True for a bar on standard error, which needs tqdm, False for
            none; by default one if that is a terminal and there is tqdm.
        inputs: the blobs that the arrays of a tuple go to. By default the net's
            inputs that the workspace does not have yet.
        checkpoint_seconds: a checkpoint also when this much time has passed since
            the last one, or 50 times what that one took to write, if that is more;
            0: not by time.
        **options: as of ``observers.attach``: ``op_types``, ``every`` and so on;
            ``observer`` too, if the net is observed already.

    Returns:
        The profile, as ``profiles.read_profile`` gives it.

    Raises:
        RuntimeError: the net fails, ``output`` cannot be written or is another
            process's, or the checkpoint is of another net, other parameters, options
            or batches, which it names. The checkpoint stays. Or another calibration
            of the process is running.
        TypeError: an option that there is not.
        ValueError: a batch does not fit the net, has an array of another type or
            masked values, or there are fewer batches than the checkpoint holds.
        KeyboardInterrupt: Ctrl-C, once the running batch is done and the checkpoint
            written. The exception says how to go on.
        SystemExit: SIGTERM likewise, with the status 143; the sentence goes to
            standard error. A handler that the program has set for a signal is
            called instead, between two batches. Signals are left alone but in the
            main thread.
    """
    _names.check_options(calibrate, options, observers.OPTIONS + (
        "op_types", "outputs", "path", "dump_freq"))
    ensure_loaded()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone(observers._net_name(net)))
        if output is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            output, checkpoint = os.path.join(folder, "profile"), None
        else:
            output = os.fspath(output)
            stack.enter_context(locked(output))
            checkpoint = output + ".checkpoint"
            if not resume:
                _remove(checkpoint)
        signals = stack.enter_context(DeferredSignals())
        run = _Run(net, inputs, checkpoint, checkpoint_every, checkpoint_seconds,
                   signals)
        stack.enter_context(_told_how_to_go_on(run))
        batches, total = iter(batches), _length(batches)
        first = list(itertools.islice(batches, 1))
        if not first:
            raise ValueError("there is no batch")
        stack.callback(run.finish)
        run.feed(first[0])
        run.start(histogram_bins, options)
        bar = stack.enter_context(_progress_bar(progress, total, run.resumed))
        skipped = 0
        for batch in itertools.chain(first, batches):
            if skipped < run.resumed:
                skipped += 1
                if skipped == run.resumed:
                    run.compare_last(batch)
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


_running = {}  # process: the net that a thread of it calibrates


@contextlib.contextmanager
def _alone(name):
    """Sees to it that no other calibration of the process runs in a block."""
    # In one step, whatever other threads do; a child that is forked meanwhile has
    # an entry of its own.
    process = os.getpid()
    marker = [name]
    other = _running.setdefault(process, marker)
    if other is not marker:
        raise RuntimeError("calibrate of net '%s': this process is calibrating net '%s', "
                           "expected no other; both would use the blobs of the current "
                           "workspace: calibrate one after the other, or in processes "
                           "of their own" % (name, other[0]))
    try:
        yield
    finally:
        _running.pop(process, None)


class _Run(object):
    """A calibration on its way.

    Attributes:
        resumed: how many batches the checkpoint holds that it goes on from.
        profile: what ``write`` wrote.
    """

    def __init__(self, net, inputs, checkpoint, checkpoint_every, checkpoint_seconds,
                 signals):
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
        self._seconds = checkpoint_seconds
        self._signals = signals
        self._settings = dict([_FORM])
        self._fed = []  # the blobs of a batch
        self._hash_blobs = [observers._unused_blob(self._workspace) for _ in range(2)]
        self._hash_op = None  # of what is fed
        self._held = {}  # the settings of the checkpoint that it goes on from
        self._last_checkpoint = _clock()
        self._checkpoint_cost = 0.0
        self._samples = 0
        self._observer = ""
        self._attached = False
        self._process = os.getpid()  # a child that is forked meanwhile writes nothing
        self._warned = False
        self._whole = True  # what is measured is of whole runs
        self._done = 0  # batches that the measurement holds
        self.resumed = 0
        self.saved = 0  # batches that the checkpoint holds
        self.profile = None

    def start(self, histogram_bins, options):
        if self._name not in self._workspace.C.nets():
            if isinstance(self._net, str):
                raise ValueError("there is no net '%s' in the workspace; pass the "
                                 "core.Net or NetDef to have it created" % self._net)
            self._workspace.CreateNet(self._net)
        held = None
        if self._checkpoint is not None:
            self._settings.update(self._parameters())
            self._settings["histogram_bins"] = str(histogram_bins)
            if os.path.exists(self._checkpoint):
                held = self._checkpoint
                self._hold(read_profile(held))
        self._observer = options.get("observer", "")
        observers.attach(self._name, histogram_bins=histogram_bins, resume_from=held,
                         **options)
        self._attached = True

    def _hold(self, profile):
        """Takes over how far a checkpoint is, if it is of this run."""
        settings = {each["name"]: each["value"]
                    for each in (profile["checkpoint"] or {"settings": []})["settings"]}
        form = settings.get(_FORM[0])
        if form != _FORM[1]:
            raise self._cannot_go_on(
                "it is a finished profile, or of an earlier version, which did not keep "
                "enough to tell whether batches and parameters are still the same"
                if not settings else
                "it is a checkpoint of %s, expected one of %s"
                % (form or "caffe2-quantize calibrate", _FORM[1]))
        self._held = settings
        self._compare(set(settings).union(self._settings).difference([_LAST_BATCH]))
        self.resumed = self._done = self.saved = profile["runs"]
        self._samples = profile["samples"]

    def _compare(self, names):
        differences = ["%s was '%s' and is '%s'" % (name, self._held.get(name, "none"),
                                                    self._settings.get(name, "none"))
                       for name in sorted(names)
                       if self._held.get(name) != self._settings.get(name)]
        if differences:
            told = differences[:8]
            if len(differences) > len(told):
                told.append("%d more" % (len(differences) - len(told)))
            raise self._cannot_go_on(", ".join(told))

    def _cannot_go_on(self, reason):
        return RuntimeError("cannot go on from the checkpoint '%s': %s; run it with the "
                            "same net, parameters, batches and options, or pass "
                            "resume=False to start anew" % (self._checkpoint, reason))

    def compare_last(self, batch):
        """Compares a batch with the last one that the checkpoint holds."""
        self.feed(batch)
        self._compare([_LAST_BATCH])

    def step(self, batch):
        with self._signals.deferred():
            samples = self.feed(batch)
            self._whole = False
            self._workspace.RunNet(self._name)
            self._done += 1
            self._samples += samples
            self._whole = True
            if self._checkpoint and self._is_due():
                self._write_checkpoint()

    def _is_due(self):
        if self._every and self._done % self._every == 0:
            return True
        return bool(self._every and self._seconds) and (
            _clock() - self._last_checkpoint
            >= max(self._seconds, _SECONDS_PER_SECOND_OF_WRITING * self._checkpoint_cost))

    def feed(self, batch):
        """Feeds a batch; returns how many samples it holds."""
        arrays = {name: blob_value(array, "batch %d: blob '%s'" % (self._done, name))
                  for name, array in self._named(batch).items()}
        for name, array in arrays.items():
            self._workspace.FeedBlob(name, array)
        shapes = [np.shape(array) for array in arrays.values()]
        samples = next((shape[0] for shape in shapes if shape), 1)
        if self._checkpoint is not None:
            self._hash_fed(sorted(arrays), samples)  # before the net may change it
        return samples

    def _hash_fed(self, names, samples):
        if names != self._fed:
            self._fed = names
            self._hash_op = _operators.make("BlobContentHash", names,
                                            self._hash_blobs[:1], {})
        values = ", ".join(name + " " + value for name, value
                           in zip(names, self._hashes(self._hash_op)[0]))
        self._settings[_LAST_BATCH] = values
        if _FIRST_BATCH not in self._settings:
            self._settings[_FIRST_BATCH] = values
            self._settings["batch size"] = str(samples)

    def _parameters(self):
        """Returns settings that tell the values that the net reads and nobody feeds."""
        hashes, names = self._hashes(_operators.make(
            "BlobContentHash", [], self._hash_blobs,
            {"net": self._name, "fed": self._fed}))
        group = max(1, (len(names) + _MOST_LISTED - 1) // _MOST_LISTED)
        settings = {"number of parameters": str(len(names))}
        for at in range(0, len(names), group):
            end = min(at + group, len(names))
            name = ("parameter '%s'" % names[at] if group == 1 else
                    "parameters '%s' to '%s'" % (names[at], names[end - 1]))
            settings[name] = " ".join(hashes[at:end])
        return settings

    def _hashes(self, op):
        _operators.run(op)
        return [[text.decode("utf-8", "replace")
                 for text in self._workspace.FetchBlob(blob)] for blob in op.output]

    def write(self, path):
        self._dump(path, 0, {})
        self.profile = read_profile(path)

    def finish(self):
        """Ends the measurement; one that is not complete goes to the checkpoint."""
        if os.getpid() != self._process:
            return  # the parent's
        with self._signals.deferred():
            if self._attached:
                if (self.profile is None and self._checkpoint and self._whole
                        and self._done > self.saved):
                    self._write_checkpoint()
                observers.detach(self._name, self._observer)
            for blob in self._hash_blobs:
                _operators.remove_blob(blob)

    def _write_checkpoint(self):
        """A failure costs the checkpoint, not the run; it is told once."""
        begin = _clock()
        try:
            self._dump(self._checkpoint, self._done, self._settings)
            self.saved = self._done
        except RuntimeError as error:
            if not self._warned:
                self._warned = True
                warnings.warn("no checkpoint: %s" % error, RuntimeWarning, stacklevel=4)
        self._last_checkpoint = _clock()
        self._checkpoint_cost = self._last_checkpoint - begin

    def _dump(self, path, batches, settings):
        observers.dump(self._name, path, self._observer, samples=self._samples,
                       format="profile_json" if path.endswith(".json") else "profile",
                       checkpoint=(batches, settings))

    def how_to_go_on(self):
        """Returns a sentence for who has stopped it, or None without a checkpoint."""
        if self._checkpoint is None:
            return None
        if self._done == 0 or self._done != self.saved:
            return ("stopped after %d batches, of which no checkpoint was kept"
                    % self._done)
        return ("stopped after %d batches, which '%s' holds; to go on, call calibrate as "
                "before" % (self._done, self._checkpoint))

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


@contextlib.contextmanager
def _told_how_to_go_on(run):
    """Gives the exception of who stops a run a sentence on how to go on."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        sentence = run.how_to_go_on()
        if sentence is not None and not stopped.args:
            stopped.args = (sentence,)
        raise
    except Terminated:  # which Python ends on without a word
        sentence = run.how_to_go_on()
        if sentence is not None:
            print("calibrate: " + sentence, file=sys.stderr)
        raise


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
