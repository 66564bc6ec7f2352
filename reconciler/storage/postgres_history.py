"""Keep what was measured in the PostgreSQL database where the state is.  Touches: the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import LiteralString

from reconciler.model.environments import require_environment_name
from reconciler.model.history import Observation
from reconciler.model.resource import Address
from reconciler.storage.observations import Row, carried, column, observation_of, rows_of, shares_root
from reconciler.storage.postgres_server import Connection, Server

AT_ONCE = 5_000
"""Rows of one statement, so that none takes long."""

PUT: LiteralString = """
insert into reconciler.observations (environment, key, address, pipeline, at, recorded, seen, body)
select %s, added.* from unnest(
    %s::text[], %s::text[], %s::text[], %s::double precision[], %s::text[], %s::double precision[], %s::text[]
) as added (key, address, pipeline, at, recorded, seen, body)
on conflict (environment, key) do update set at = excluded.at, seen = excluded.seen, body = excluded.body
returning xmax = 0
"""
NEWEST: LiteralString = """
select body from (
    select body, at, recorded, seen, row_number() over (
        partition by address, pipeline order by at desc, recorded collate "C" desc, seen desc, key
    ) as place
    from reconciler.observations
    where environment = %(environment)s and (%(all)s or address = any(%(addresses)s::text[]))
) as ranked
where %(limit)s::bigint is null or place <= %(limit)s::bigint
order by at desc, recorded collate "C" desc, seen desc
"""


class PostgresHistory:
    """A ``HistoryStore`` beside the state.  Connects for each call, so that several runs may use it at once.

    ``places`` are the kinds of what things are measured on.  Raises what ``PostgresStore`` raises.
    """

    def __init__(
        self, url: str, environment: str, *, environ: Mapping[str, str], places: frozenset[str] = frozenset()
    ) -> None:
        require_environment_name(environment)
        self._server = Server(url, environ, what="history")
        self._environment = environment
        self._places = places

    def record(self, observations: Sequence[Observation]) -> int:
        """See ``HistoryStore.record``."""
        rows = rows_of(observations)
        if not rows:
            return 0
        with self._server.connected("written") as connection:
            self._server.make_ready(connection)
            return self._put(connection, rows)

    def of(self, addresses: Sequence[Address] = (), limit: int | None = None) -> tuple[Observation, ...]:
        """See ``HistoryStore.of``."""
        asked = {
            "environment": self._environment,
            "all": not addresses,
            "addresses": [column(str(address)) for address in addresses],
            "limit": limit,
        }
        with self._server.connected("read") as connection:
            bodies = connection.execute(NEWEST, asked).fetchall() if self._server.is_ready(connection) else []
        return tuple(observation_of(body) for (body,) in bodies)

    def moved(self, former: Address, address: Address) -> None:
        """See ``HistoryStore.moved``.  What was measured on ``former`` goes along too, where it is a place."""
        with self._server.connected("written") as connection:
            if not self._server.is_ready(connection):
                return
            with connection.transaction():
                moving = self._moving(connection, former, address)
                connection.execute(
                    "delete from reconciler.observations where environment = %s and key = any(%s)",
                    (self._environment, list(moving)),
                )
                self._put(connection, rows_of(moving.values()))

    def _moving(self, connection: Connection, former: Address, address: Address) -> dict[str, Observation]:
        """What changes its name, under its new name, by the key it has now."""
        known = connection.execute(
            "select distinct address from reconciler.observations where environment = %s", (self._environment,)
        ).fetchall()
        near = [text for (text,) in known if shares_root(text, former)]
        found = connection.execute(
            "select key, body from reconciler.observations where environment = %s and address = any(%s) "
            "order by seen for update",
            (self._environment, near),
        ).fetchall()
        fresh = {key: carried(observation_of(body), former, address, self._places) for key, body in found}
        return {key: each for key, each in fresh.items() if each is not None}

    def _put(self, connection: Connection, rows: Sequence[Row]) -> int:
        """How many were not there before.  In the order of their keys, so that two runs never wait for each other."""
        ordered, known = sorted(rows), 0
        for start in range(0, len(ordered), AT_ONCE):
            columns = [list(values) for values in zip(*ordered[start : start + AT_ONCE], strict=True)]
            fresh = connection.execute(PUT, (self._environment, *columns)).fetchall()
            known += sum(is_new for (is_new,) in fresh)
        return known
