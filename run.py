"""Train, evaluate or compile: python run.py --help."""

import signal
import sys

if __name__ == "__main__":
    # Until there is somebody to answer Ctrl-C with a sentence; main unblocks it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

from mediswift_cs.run import main

if __name__ == "__main__":
    sys.exit(main())
