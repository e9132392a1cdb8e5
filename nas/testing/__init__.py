"""Contract checks for authors of plug-ins; our own tests run the same.

One file per kind of plug-in with its `CHECKS`: functions of a plug-in's name that raise
AssertionError, saying what was expected and what was found.

    from nas.testing.controllers import CHECKS
    from search_spaces import load_plugins

    load_plugins(["stride.py"])
    for check in CHECKS:
        check("stride")

`nas plugin check stride.py` does so for all that a file registers.
"""
