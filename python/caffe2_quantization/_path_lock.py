"""A lock on the name of an output file, the same as the plugin's path_lock.h."""

import contextlib
import fcntl
import os


@contextlib.contextmanager
def locked(path):
    """Holds "path.lock" locked while a block runs.

    The system lets go of the lock when the process dies, however it does; the file
    that is then left behind hinders nobody.

    Args:
        path: the file to be written, there or not.

    Raises:
        RuntimeError: another one holds the lock.
        OSError: the lock cannot be made.
    """
    if os.path.exists(path):
        path = os.path.realpath(path)
    lock_path = path + ".lock"
    lock = _take(path, lock_path)
    owner = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == owner:  # and no child that was forked in the block
            with contextlib.suppress(OSError):
                os.unlink(lock_path)  # while it is still locked
        os.close(lock)


def _take(path, lock_path):
    while True:
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                       0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_named(lock, lock_path):
                return lock
        except BlockingIOError:
            os.close(lock)
            raise RuntimeError("another process is writing to '%s' (its lock is held on "
                               "'%s')" % (path, lock_path)) from None
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _is_still_named(lock, lock_path):
    """Whether its last holder has not removed it between our opening and locking it."""
    try:
        return os.path.samestat(os.fstat(lock), os.lstat(lock_path))
    except FileNotFoundError:
        return False
