"""Processes that share the tests run each of them once."""

import collections

import conftest

Item = collections.namedtuple("Item", "nodeid")


def test_each_test_is_run_once(tmp_path):
    file = [Item("test_a.py::test_%d" % i) for i in range(3)]
    documents = [Item("test_docs.py::test_document[%d.md]" % i) for i in range(4)]
    items = file + documents + [Item("test_docs.py::test_comparing")]
    first, second = (conftest.claimed(items, str(tmp_path)) for _ in range(2))
    # A file is one process's, and each document anybody's.
    assert [next(first), next(second)] == [file[0], documents[0]]
    assert list(first) == file[1:] + documents[1:] + items[-1:]
    assert list(second) == []
