"""Which workers are there, with which device."""

from sqlalchemy import Engine, delete, insert
from sqlalchemy import update as sql_update

from contract.store.engine import writing
from contract.tables import now, workers


class WorkerStore:
    """Workers; each method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def see(self, name: str, device: str) -> None:
        """Note that a worker is alive."""
        known = sql_update(workers).where(workers.c.name == name)
        with writing(self._engine) as connection:
            if connection.execute(known.values(device=device, seen_at=now())).rowcount == 0:
                connection.execute(insert(workers).values(name=name, device=device, seen_at=now()))

    def forget(self, name: str) -> None:
        """Note that a worker has ended."""
        with writing(self._engine) as connection:
            connection.execute(delete(workers).where(workers.c.name == name))
