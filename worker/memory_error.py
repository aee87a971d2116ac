"""What a job that did not fit into memory is told; the supervisor, without torch, says the same."""

from contract.job import JobError, JobErrorCode

_OWNERS = {
    JobErrorCode.OUT_OF_MEMORY_HOST: "the machine's",
    JobErrorCode.OUT_OF_MEMORY_DEVICE: "the device's",
}


def out_of_memory(code: JobErrorCode) -> JobError:
    """The error of one of the two out-of-memory codes."""
    message = f"{_OWNERS[code]} memory was not enough: lower batch_size, hidden_size or seq_len"
    return JobError(code=code, message=message, param="/training/batch_size")
