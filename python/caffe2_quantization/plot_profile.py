"""The command: python -m caffe2_quantization.plot_profile PROFILE -o FOLDER.

``caffe2-quantize plot`` starts this file by its path, so that Python looks for no module in
the working folder, which may belong to somebody else.
"""

import os
import sys


def _use_own_package():
    """Lets imports find the package of this file, and nothing of the working folder."""
    folder = os.path.dirname(os.path.abspath(__file__))
    if sys.path[:1] == [folder]:  # of a file started by its path; its modules are no top-level ones
        del sys.path[0]
    sys.path.insert(0, os.path.dirname(folder))
    # matplotlib takes its settings from a file in the working folder, if there is one.
    before = os.getcwd()
    os.chdir(folder)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        pass  # main() says so
    finally:
        os.chdir(before)


if __name__ == "__main__":
    if not __package__:
        _use_own_package()
    try:
        from caffe2_quantization.plots import main
    except ImportError as error:
        sys.exit("plot_profile: %s" % error)
    sys.exit(main())
