"""What the fork server holds before the first job comes; imported by it alone.

The training processes it forks find torch imported and the kernels in memory. The first start on a
machine compiles the kernels, which takes about half a minute of one core; later starts load them.
"""

import worker.child  # noqa: F401 - what a training process runs
from worker.warm_up import warm_up

warm_up()
