"""Idempotency keys: one job a key, however often and by however many it is sent."""

import hashlib

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from contract.errors import FieldError, InvalidError
from contract.job import Job
from contract.spec import JobSpec
from contract.tables import idempotency_keys, now

KEPT_S = 86_400.0


def claim_key(connection: Connection, key: str, spec: JobSpec) -> Job | None:
    """Take a key for this transaction; the job it was answered with if it was used before.

    A second transaction with the same key waits for the first one to end, so that it never sees
    a key without its answer.

    Raises:
        InvalidError: the key was used with another spec.
    """
    old = idempotency_keys.c.created_at < now() - KEPT_S
    connection.execute(delete(idempotency_keys).where(old))
    is_sqlite = connection.dialect.name == "sqlite"
    insert = sqlite_insert if is_sqlite else postgresql_insert
    fingerprint = hashlib.sha256(spec.model_dump_json().encode()).hexdigest()
    values = {"key": key, "fingerprint": fingerprint, "created_at": now()}
    take = insert(idempotency_keys).values(values).on_conflict_do_nothing()
    if connection.execute(take.returning(idempotency_keys.c.key)).first() is not None:
        return None
    wanted = select(idempotency_keys).where(idempotency_keys.c.key == key)
    row = connection.execute(wanted).one()
    if row.fingerprint != fingerprint:
        reason = "this key was used with another spec"
        raise InvalidError(reason, (FieldError("Idempotency-Key", reason),))
    return Job.model_validate(row.answer)


def keep_answer(connection: Connection, key: str, job: Job) -> None:
    """Keep what the key is answered with, in the transaction that created the job."""
    answer = {"job_id": job.id, "answer": job.model_dump(mode="json")}
    connection.execute(update(idempotency_keys).where(idempotency_keys.c.key == key).values(answer))
