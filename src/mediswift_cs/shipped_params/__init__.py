"""The shipped params files, in an installed wheel.

In a checkout they are in params/ at its root: setup.cfg maps that folder to this package.
"""
