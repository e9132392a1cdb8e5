"""How this process and others share the cores of a machine."""

import os


def share_the_cores() -> None:
    """Let torch's threads wait for each other awake for some microseconds only.

    GNU OpenMP's default is to spin: alone on the machine that is 5 % faster, and where another job
    or another virtual machine holds one of the cores, ten times slower (see docs/decisions/0010).
    Read when torch is loaded, so it is set before; what the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
