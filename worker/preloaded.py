"""What the fork server holds before the first job comes; imported by it alone.

The training processes it forks find torch imported and the kernels in memory. The first start on a
machine compiles the kernels; later starts load them.
"""

import logging

import worker.child  # noqa: F401 - what a training process runs
from contract.log import set_up_logging
from contract.settings import Settings
from worker.cells.compiled import KERNEL_FOLDER
from worker.warm_up import warm_up

# A worker never listens, so the rule about hosts and keys is not for it.
set_up_logging(Settings(host="127.0.0.1").log_level)
log = logging.getLogger(__name__)
if KERNEL_FOLDER is None:
    log.warning("no folder for compiled kernels can be written to: every start compiles them anew")
elif not any(KERNEL_FOLDER.rglob("*.nbi")):
    log.info("compiling the kernels for this machine: once, for half a minute of one core")
warm_up()
