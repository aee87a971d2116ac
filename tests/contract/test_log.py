import json
import logging

from contract.log import JsonFormatter


def test_log_line_is_json_without_credentials() -> None:
    """A log line is one JSON object; passwords in URLs are cut out, extras kept."""
    record = logging.makeLogRecord(
        {"msg": "lost redis://:hunter2@broker:6379/0\nnext", "levelname": "ERROR", "job_id": "j"}
    )

    line = JsonFormatter().format(record)

    assert "\n" not in line
    assert "hunter2" not in line
    assert json.loads(line)["job_id"] == "j"
