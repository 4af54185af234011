"""Ctrl-C and SIGTERM between two steps of a long work, and not within one."""

import contextlib
import signal
import threading


class Terminated(SystemExit):
    """What SIGTERM becomes where the program has no handler for it."""


class DeferredSignals(object):
    """While it is entered, signals wait for the end of a block of ``deferred``.

    Outside such blocks they do at once what they did before: a handler that the
    program has set is called, by default SIGINT raises KeyboardInterrupt. SIGTERM,
    which by default ends the process, raises Terminated. A signal that is ignored
    stays ignored. In another thread than the main one nothing changes: signals do
    not come there.
    """

    def __init__(self):
        self._handlers = {}
        self._depth = 0
        self._waiting = []

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if handler is None or handler == signal.SIG_IGN:
                    continue  # None: not set by Python
                self._handlers[number] = handler
                signal.signal(number, self._handle)
        return self

    def __exit__(self, *_):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self):
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            while self._waiting and not self._depth:
                self._do(*self._waiting.pop(0))

    def _handle(self, number, frame):
        if self._depth:
            self._waiting.append((number, frame))
        else:
            self._do(number, frame)

    def _do(self, number, frame):
        handler = self._handlers[number]
        if handler != signal.SIG_DFL:
            handler(number, frame)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise Terminated(128 + number)
