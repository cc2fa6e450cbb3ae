"""Searches: words and filters in, a page of complaints out, in the order of their last change. Similar cases. Changes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.records.search.projector import ALONE, END, config_of
from shared.contracts.complaints import Short
from shared.http.router import Instant

SHOWN = """complaint_id, changed_idx, changed_at, received_at, status, tier, team, owner, cause, channel, source, severity, heat,
    next_due, missed, remedy, resolution, outcome"""
# By the stem of the language, and as it stands: a name or a number has no stem.
WORDS = "words @@ (websearch_to_tsquery({language}::regconfig, {words}) || websearch_to_tsquery('simple', {words}))"
FEW = 5000
# The words of a case that say most: those that few others have, by what the database knows of its most common ones; the marks
# between events say nothing. Five of them at most match some thousand cases of a million.
SIMILAR = f"""
with common as materialized (
    select lexeme, frequency
    from pg_stats, unnest(most_common_elems::text::text[], most_common_elem_freqs) as known (lexeme, frequency)
    where schemaname = current_schema() and tablename = 'case_index' and attname = 'words' and lexeme is not null
), asked as (
    select cause, (
        select string_agg(quote_literal(lexeme), ' | ')::tsquery from (
            select lexeme from unnest(words) left join common using (lexeme) where lexeme <> '{END}'
            order by coalesce(frequency > 0.002, false), case when frequency > 0.002 then frequency end,
                cardinality(positions) desc, length(lexeme) desc limit 5
        ) as best
    ) as terms from case_index where complaint_id = $1
), near as (
    select case_index.*, ts_rank(words, asked.terms) as rank from case_index join asked on case_index.cause = asked.cause
    where complaint_id <> $1 and status in ('resolved', 'closed') and words @@ asked.terms
    order by changed_idx desc limit 2000
)
select {SHOWN}, rank from near order by (outcome is not distinct from 'solved') desc, rank desc limit $2
"""  # noqa: S608 - constants only
CHANGES = f"select {SHOWN} from case_index where changed_idx > $1 order by changed_idx limit $2"  # noqa: S608 - constants only
NEWEST = "select coalesce(max(changed_idx), -1) from case_index"
UNATTENDED = f"select {SHOWN} from case_index where {ALONE} order by changed_idx limit $1"  # noqa: S608 - constants only


class Search(BaseModel):
    """What to look for. `text`: words, "phrases", -without; in the body, for it may name a person. All that is given must fit.

    `clock`: overdue (something was missed), due (something comes by `due_before`), quiet (nothing comes).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Annotated[str, Field(max_length=500)] | None = None
    language: Short = "en"
    status: Annotated[tuple[Literal["open", "waiting", "resolved", "closed"], ...], Field(max_length=4)] = ()
    tier: Annotated[tuple[int, ...], Field(max_length=9)] = ()
    team: Short | None = None
    owner: Short | None = None
    cause: Short | None = None
    channel: Short | None = None
    source: Short | None = None
    heat: Short | None = None
    outcome: Short | None = None
    clock: Literal["overdue", "due", "quiet"] | None = None
    due_before: Instant | None = None
    received_from: Instant | None = None
    received_before: Instant | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    after: int | None = Field(None, description="`next` of the page before.")


def probe(search: Search) -> tuple[str, list[Any]] | None:
    """How many complaints have the words, counted up to FEW; None for a search without words.

    What few have is looked up by its words and sorted then; what many have is found sooner going back from the newest. PostgreSQL
    cannot know which it is for words that are not among the most common, and is wrong by a factor of a thousand.
    """
    if not search.text:
        return None
    wanted = WORDS.format(language="$1::text", words="$2")
    sql = f"select count(*) from (select from case_index where {wanted} limit {FEW}) as found"  # noqa: S608 - constants only
    return sql, [config_of(search.language), search.text.replace("\x00", " ")]


def build(search: Search, now: datetime, *, few: bool = False) -> tuple[str, list[Any]]:
    """The SQL of a search with its values. Every value is a parameter; the texts are constants. `few`: see `probe`."""
    values: list[Any] = []
    wanted: list[str] = []

    def given(value: Any) -> str:
        values.append(value)
        return f"${len(values)}"

    if search.text:
        wanted.append(WORDS.format(language=f"{given(config_of(search.language))}::text", words=given(search.text.replace("\x00", " "))))
    for column in ("team", "owner", "cause", "channel", "source", "heat", "outcome"):
        value = getattr(search, column)
        if value is not None:
            wanted.append(f"{column} = {given(value)}")
    if search.status:
        wanted.append(f"status = any({given(list(search.status))}::text[])")
    if search.tier:
        wanted.append(f"tier = any({given(list(search.tier))}::int[])")
    match search.clock:
        case "overdue":
            wanted.append("missed")
        case "due":
            wanted.append(f"next_due < {given(search.due_before or now)}")
        case "quiet":
            wanted.append("next_due is null")
        case None:
            pass
    if search.received_from is not None:
        wanted.append(f"received_at >= {given(search.received_from)}")
    if search.received_before is not None:
        wanted.append(f"received_at < {given(search.received_before)}")
    if search.after is not None:
        wanted.append(f"changed_idx < {given(search.after)}")
    where = f"where {' and '.join(wanted)} " if wanted else ""
    # An expression has no index: the rows are found first. Those of a time long ago, too, not going back from the newest.
    order = "changed_idx + 0" if few or search.received_before is not None else "changed_idx"
    return f"select {SHOWN} from case_index {where}order by {order} desc limit {given(search.limit)}", values  # noqa: S608


async def run(conn: Any, search: Search, now: datetime) -> list[Any]:
    """A page of a search."""
    counting = probe(search)
    few = counting is not None and await conn.fetchval(counting[0], *counting[1]) < FEW
    sql, values = build(search, now, few=few)
    return list(await conn.fetch(sql, *values))


def shown(row: Any) -> dict[str, Any]:
    """A row for the answer."""
    return {name: value for name, value in dict(row).items() if name != "changed_idx"}


def similar_to(complaint_id: UUID, limit: int) -> tuple[str, list[Any]]:
    """Past cases about the same, with what was done: those that solved it first."""
    return SIMILAR, [complaint_id, limit]
