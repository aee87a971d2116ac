"""Structured logs: one JSON object a line, secrets scrubbed."""

import json
import logging
import re
import sys
from datetime import UTC, datetime

# user:password@ in any URL that reaches a log.
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON, with what was passed as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record; credentials in URLs are cut out."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _CREDENTIALS.sub("***@", json.dumps(line, default=str))


def set_up_logging(level: str) -> None:
    """Send all logs to standard error as JSON lines; replaces what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
