"""What the commands write of each kind of value: its JSON, columns and orders."""

from __future__ import annotations

from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ._output import View

if TYPE_CHECKING:
    from ..contract import Finding
    from ..inventory import InventoryRow, Totals
    from ..inventory._rows import Entry
    from ..models import Tag
    from ..repositories import Repository

# Sorts before each time.
_NEVER = datetime.min.replace(tzinfo=UTC)

REPOSITORY: View[Repository] = View(
    lambda repository: repository.model_dump(mode="json"),
    columns=(
        "id",
        "name",
        "description",
        "organization_id",
        "creator.email",
        "created_at",
        "updated_at",
    ),
    noun="repositories",
    quiet=("name",),
    sorts={
        "name": attrgetter("name"),
        "created": attrgetter("created_at"),
        "updated": attrgetter("updated_at"),
    },
    table=("name", "id", "updated_at", "creator.email", "description"),
    drop_first=("creator.email", "updated_at", "description"),
)


class Sized(NamedTuple):
    """A repository with the number of its tags and the bytes of its images."""

    repository: Repository
    tag_count: int
    size: int


SIZED: View[Sized] = View(
    lambda sized: {
        **REPOSITORY.to_json(sized.repository),
        "tag_count": sized.tag_count,
        "size": sized.size,
    },
    columns=(*REPOSITORY.columns, "tag_count", "size"),
    noun=REPOSITORY.noun,
    quiet=REPOSITORY.quiet,
    sorts={
        **{order: attrgetter(f"repository.{order}_at") for order in ("created", "updated")},
        "name": attrgetter("repository.name"),
        "size": attrgetter("size"),
    },
    table=("name", "id", "tag_count", "size", "updated_at", "description"),
    drop_first=("updated_at", "description", "tag_count"),
)

TAG: View[Tag] = View(
    lambda tag: tag.model_dump(mode="json"),
    columns=(
        "id",
        "name",
        "digest",
        "size",
        "media_type",
        "creator.email",
        "created_at",
        "updated_at",
    ),
    noun="tags",
    quiet=("name",),
    sorts={
        "name": attrgetter("name"),
        "created": attrgetter("created_at"),
        "updated": attrgetter("updated_at"),
        "size": attrgetter("size"),
    },
    table=("name", "digest", "size", "updated_at", "creator.email"),
    drop_first=("creator.email", "updated_at", "size"),
)

# -- the inventory --------------------------------------------------------------------------------

ROW: View[Entry] = View(
    lambda entry: entry.to_dict(),
    columns=(
        "repository_id",
        "repository_name",
        "tag",
        "digest",
        "size",
        "media_type",
        "creator_email",
        "created_at",
        "updated_at",
        "kind",
    ),
    noun="tags",
    quiet=("repository_name", "tag"),
    sorts={
        "name": lambda entry: (
            _at(entry, "repository_name", ""),
            _at(entry, "tag", ""),
        ),
        "created": lambda entry: _at(entry, "created_at", _NEVER),
        "updated": lambda entry: _at(entry, "updated_at", _NEVER),
        "size": lambda entry: _at(entry, "size", -1),
    },
    table=("repository_name", "tag", "digest", "size", "updated_at", "creator_email"),
    drop_first=("creator_email", "updated_at", "size"),
)


def _at(entry: Entry, name: str, missing: Any) -> Any:
    """Return a column of a row; repositories without tags have their name only."""
    return getattr(entry, name, getattr(entry, "name", "") if name[0] == "r" else missing)


# -- differences --------------------------------------------------------------------------------

# The kind of difference, the repository's name, the old row and the new row.
Change = tuple[str, str, "InventoryRow | None", "InventoryRow | None"]


def _change_to_json(change: Change) -> dict[str, Any]:
    kind, repository, old, new = change
    row = new or old
    return {
        "change": kind,
        "repository_name": repository,
        "tag": row.tag if row else None,
        "old": old.to_dict() if old else None,
        "new": new.to_dict() if new else None,
    }


def _sort_changes(name: str, missing: Any) -> Any:
    return lambda change: getattr(change[3] or change[2], name, missing)


CHANGE: View[Change] = View(
    _change_to_json,
    columns=(
        "change",
        "repository_name",
        "tag",
        "old.digest",
        "new.digest",
        "old.size",
        "new.size",
        "old.updated_at",
        "new.updated_at",
    ),
    noun="differences",
    quiet=("change", "repository_name", "tag"),
    sorts={
        "name": lambda change: (change[1], _sort_changes("tag", "")(change)),
        "updated": _sort_changes("updated_at", _NEVER),
        "size": _sort_changes("size", -1),
    },
    table=("change", "repository_name", "tag", "old.digest", "new.digest"),
    drop_first=("old.digest", "new.digest"),
)


# -- summaries --------------------------------------------------------------------------------

# The kind of a group of tags, and its totals.
GroupTotals = tuple[str, "Totals"]


def totals_to_json(totals: Totals) -> dict[str, Any]:
    return {
        "name": totals.name,
        "tags": totals.tags,
        "images": totals.images,
        "bytes": totals.bytes,
        "tag_bytes": totals.tag_bytes,
        "oldest": _time_text(totals.oldest),
        "newest": _time_text(totals.newest),
        "stale": totals.stale,
        "stale_bytes": totals.stale_bytes,
    }


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat().replace("+00:00", "Z")


TOTALS: View[GroupTotals] = View(
    lambda group: {"of": group[0], **totals_to_json(group[1])},
    columns=(
        "of",
        "name",
        "tags",
        "images",
        "bytes",
        "tag_bytes",
        "oldest",
        "newest",
        "stale",
        "stale_bytes",
    ),
    noun="tags",
    sorts={
        "name": lambda group: group[1].name,
        "updated": lambda group: group[1].newest or _NEVER,
        "size": lambda group: group[1].bytes,
    },
    table=("of", "name", "tags", "bytes", "tag_bytes", "newest", "stale", "stale_bytes"),
    drop_first=("newest", "tag_bytes", "stale", "stale_bytes", "tags"),
)


# -- settings and the contract --------------------------------------------------------------------

SETTING: View[dict[str, Any]] = View(dict, columns=("setting", "value", "source"), noun="settings")
ACCESS: View[dict[str, Any]] = View(
    dict,
    columns=("organization_id", "organization_name", "credential", "source", "base_url"),
    noun="organizations",
    quiet=("organization_name",),
)
FINDING: View[Finding] = View(
    lambda finding: {
        "subject": finding.subject,
        "status": finding.status,
        "detail": finding.detail,
    },
    columns=("subject", "status", "detail"),
    noun="findings",
)
