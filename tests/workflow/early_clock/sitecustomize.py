"""Makes up for a flaw of libfaketime, in every Python process whose PYTHONPATH has this folder.

Asked to leave the monotonic clock alone, it still shifts the moment of that clock until which ``time.sleep`` sleeps, so
that every sleep fails ("Invalid argument"). Snakemake seldom sleeps, but its Slurm plugin does when a Slurm command
that it tries at its start takes longer than a moment. Waiting for events is not shifted.
"""

import threading
import time


def sleep(seconds: float) -> None:
    """Wait for an event that never comes."""
    threading.Event().wait(seconds)


time.sleep = sleep
