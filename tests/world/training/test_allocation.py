"""Memory that stays with the process; in one of its own, since it can't be undone."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
from stereozero.world.training.allocation import keep_freed_memory
{call}
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    bytearray(2**26)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(call: str) -> int:
    ran = subprocess.run([sys.executable, "-c", SCRIPT.format(call=call)], capture_output=True, text=True, check=True)
    return int(ran.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_freed_memory_is_used_again():
    assert page_faults("assert keep_freed_memory()") < 0.3 * page_faults("")
