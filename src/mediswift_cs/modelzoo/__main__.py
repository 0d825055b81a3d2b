"""``python -m mediswift_cs.modelzoo cszoo|run ...``: see :mod:`mediswift_cs.modelzoo.entry`."""

import runpy

# Spawned processes import the main module again, but not one whose name ends in __main__
# (multiprocessing.spawn), so another module has to be it.
runpy.run_module("mediswift_cs.modelzoo.entry", run_name="__main__", alter_sys=True)
