"""The kernels for the GPU run in Triton's interpreter here, on tensors of the CPU."""

import platform

# There are wheels of Triton for nothing else that the tests run on.
_HAS_TRITON = (platform.system(), platform.machine()) == ("Linux", "x86_64")
collect_ignore_glob = [] if _HAS_TRITON else ["test_*.py"]
