"""The claims of the paper, tried at a small scale with the controls that it lacks."""
