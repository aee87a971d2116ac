"""The kernels for the GPU run in Triton's interpreter here, on tensors of the CPU."""

import os
import platform

# Read when Triton is first imported, which only the tests of this folder do.
os.environ["TRITON_INTERPRET"] = "1"

# There are wheels of Triton for nothing else that the tests run on.
_HAS_TRITON = (platform.system(), platform.machine()) == ("Linux", "x86_64")
collect_ignore_glob = [] if _HAS_TRITON else ["test_*.py"]
