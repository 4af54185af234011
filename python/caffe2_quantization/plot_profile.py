"""The command: python -m caffe2_quantization.plot_profile PROFILE -o FOLDER."""

import sys

from caffe2_quantization.plots import main

if __name__ == "__main__":
    sys.exit(main())
