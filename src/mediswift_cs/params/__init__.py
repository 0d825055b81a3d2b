"""Params files: the schema, the checks, the loader and the rendering from the table of sizes.

Nothing here imports torch or cerebras.pytorch, so a params file is checked in well under two
seconds, before any heavy work.
"""
