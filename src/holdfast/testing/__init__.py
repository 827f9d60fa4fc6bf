"""Tools for tests of what is built on Holdfast; never imported at run time."""
