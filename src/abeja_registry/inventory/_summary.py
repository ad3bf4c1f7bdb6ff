"""Counts and sizes of an inventory, by repository and by creator.

Repositories and tags are identified by their names, as image names are, and an image by its
repository and digest. Where a tag is listed twice, its last row counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import NamedTuple

from .._display import first_rows, html_table, number_text, one_line, without_email
from .._validation import check_count, check_time, safe_repr
from ..exceptions import InvalidArgument
from ._rows import InventoryRepository, InventoryRow
from ._times import time_text

STALE_AFTER_DAYS = 90


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts and sizes of a group of tags.

    An image is a repository and a digest, however many tags point to it. Where its tags have
    different sizes, the largest counts.

    Attributes:
        name: The group: a repository's name, or a creator's e-mail address.
        tags: The number of tags.
        bytes: The bytes of the distinct images that the tags point to. Layers that images share are
            counted with each image.
        oldest: The earliest of the tags' last pushes; None without tags.
        newest: The latest of the tags' last pushes.
        stale: The number of stale tags: those not pushed for `stale_after_days`.
        images: The number of distinct images.
        tag_bytes: The sum of the sizes of all tags: an image counts once for each of its tags.
        stale_bytes: The bytes that deleting the group's stale tags frees: those of images that no
            other tags point to.
    """

    name: str
    tags: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    stale: int = 0
    images: int = 0
    tag_bytes: int = 0
    stale_bytes: int = 0

    def __repr__(self) -> str:
        return one_line(
            "Totals",
            without_email(self.name),
            tags=self.tags,
            images=self.images,
            bytes=self.bytes,
            stale=self.stale,
            stale_bytes=self.stale_bytes,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts and sizes of an inventory.

    Attributes:
        total: Everything.
        repositories: Each repository, the one with the most bytes first.
        creators: Each creator, in the same order. An image whose tags have several creators
            counts for each of them.
        stale_after_days: The days without a push after which a tag is stale.
        empty_repositories: The number of repositories without tags; None where the rows do not
            name them, as a file without the column `kind`.
    """

    total: Totals
    repositories: tuple[Totals, ...]
    creators: tuple[Totals, ...]
    stale_after_days: int
    # Not compared: it says how complete the names are, and changes no figure.
    empty_repositories: int | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return one_line(
            "Summary",
            tags=self.total.tags,
            images=self.total.images,
            bytes=self.total.bytes,
            stale=self.total.stale,
            repositories=len(self.repositories),
            creators=len(self.creators),
        )

    def _repr_html_(self) -> str:
        """Return a table of the largest repositories, for notebooks."""
        return html_table(
            f"{len(self.repositories):,} repositories; a tag is stale after"
            f" {number_text(self.stale_after_days)} days without a push",
            ("repository", "tags", "images", "bytes", "newest", "stale tags", "stale bytes"),
            first_rows(
                map(_html_cells, (self.total, *self.repositories)), 1 + len(self.repositories)
            ),
        )


def _html_cells(totals: Totals) -> tuple[str, ...]:
    return (
        totals.name,
        number_text(totals.tags),
        number_text(totals.images),
        number_text(totals.bytes),
        time_text(totals.newest, "seconds") if totals.newest else "",
        number_text(totals.stale),
        number_text(totals.stale_bytes),
    )


class StaleTag(NamedTuple):
    """A tag that was not pushed for `stale_after_days`.

    Attributes:
        repository_name: The repository's name.
        name: The tag's name.
        freed: The bytes that are freed with the last tag of its image; 0 if a tag that is not stale
            points to the image too.
        size: The tag's size.
        image_tags: The number of tags that point to its image.
        updated_at: When it was last pushed.
        creator_email: The e-mail address of the user who pushed it.
    """

    repository_name: str
    name: str
    freed: int
    size: int
    image_tags: int
    updated_at: datetime
    creator_email: str


# The columns that a summary keeps. The garbage collector does not track tuples of plain values.
_COLUMNS = ("digest", "size", "creator_email", "updated_at")
_Tag = tuple[str, int, str, datetime]
_tag = itemgetter(*map(InventoryRow._fields.index, _COLUMNS))


class SummaryOptions:
    """The options of a summary, and its last step.

    Args:
        stale_after_days: Days without a push, >= 0, after which a tag is stale.
        now: The time from which the days are counted back. Defaults to the present.

    Attributes:
        stale_before: A tag that was last pushed before is stale.

    Raises:
        InvalidArgument: The days are negative or reach back before the year 1, or `now` has no time
            zone.
    """

    def __init__(self, stale_after_days: int, now: datetime | None) -> None:
        check_count("stale_after_days", stale_after_days, least=0)
        check_time("now", now)
        try:
            self.stale_before = (now or datetime.now(UTC)) - timedelta(days=stale_after_days)
        except OverflowError:
            raise InvalidArgument(
                f"stale_after_days must not reach back before the year 1,"
                f" unlike {safe_repr(stale_after_days)}"
            ) from None
        self._days = stale_after_days

    def summary(
        self,
        total: GroupTotals,
        repositories: dict[str, GroupTotals],
        creators: dict[str, GroupTotals],
        known: Sequence[InventoryRepository] | None,
    ) -> Summary:
        """Return the summary of some totals, and of all repositories if they are known."""
        empty = _without_tags(known or (), repositories)
        for each in known or ():
            repositories.setdefault(each.name, GroupTotals())
        return Summary(
            total=total.totals("total"),
            repositories=_largest_first(repositories),
            creators=_largest_first(creators),
            stale_after_days=self._days,
            empty_repositories=None if known is None else len(empty),
        )


def _without_tags(known: Iterable[InventoryRepository], with_rows: Container[str]) -> list[str]:
    """Return the names of the repositories without tags."""
    named: dict[str, int] = {}
    for each in known:
        named[each.name] = named.get(each.name, 0) + each.tag_count
    # A repository whose tags were all skipped (`invalid_rows`) has no rows, but has tags.
    return [name for name, count in named.items() if not count and name not in with_rows]


class SummaryBuilder:
    """Builds a summary from rows in any order; see `SummaryOptions`.

    It keeps some columns of each tag in memory: an image is stale only if all of its tags are.
    """

    def __init__(self, stale_after_days: int, now: datetime | None) -> None:
        self._options = SummaryOptions(stale_after_days, now)
        self._repositories: dict[str, dict[str, _Tag]] = {}
        self._known: list[InventoryRepository] | None = None

    def close(self) -> None:
        """Do nothing: it has no file, unlike a builder that adds record batches."""

    def add(self, row: InventoryRow) -> None:
        """Record a row."""
        tags = self._repositories.get(row.repository_name)
        if tags is None:
            tags = self._repositories[row.repository_name] = {}
        tags[row.tag] = _tag(row)

    def add_repositories(self, repositories: Iterable[InventoryRepository] | None) -> None:
        """Record all repositories, after the last row, if they are known."""
        self._known = None if repositories is None else list(repositories)

    def images(self) -> Iterator[tuple[int, list[datetime]]]:
        """Yield the size of each image, and when each of its tags was last pushed."""
        for tags in self._repositories.values():
            for image in _images(tags):
                yield max(size for _, size, _, _ in image), [pushed for *_, pushed in image]

    def stale_tags(self) -> Iterator[StaleTag]:
        """Yield each stale tag."""
        for repository, tags in self._repositories.items():
            counts, kept = Counter[str](), set[str]()
            sizes: dict[str, int] = {}
            for digest, size, _, pushed in tags.values():
                counts[digest] += 1
                sizes[digest] = max(size, sizes.get(digest, size))
                if pushed >= self._options.stale_before:
                    kept.add(digest)
            for name, (digest, size, email, pushed) in tags.items():
                if pushed < self._options.stale_before:
                    freed = 0 if digest in kept else sizes[digest]
                    yield StaleTag(repository, name, freed, size, counts[digest], pushed, email)

    def empty_repositories(self) -> tuple[str, ...]:
        """Return the names of the repositories without tags, as far as they are known, sorted."""
        return tuple(sorted(_without_tags(self._known or (), self._repositories)))

    def summary(self) -> Summary:
        """Return the summary of the rows so far."""
        total = GroupTotals()
        repositories = {name: GroupTotals() for name in self._repositories}
        creators: defaultdict[str, GroupTotals] = defaultdict(GroupTotals)
        for name, tags in self._repositories.items():
            for image in _images(tags):
                whole = _amounts(image, self._options.stale_before)
                total.add(whole)
                repositories[name].add(whole)
                emails = {email for _, _, email, _ in image}
                if len(emails) == 1:
                    creators[emails.pop()].add(whole)
                    continue
                # The stale tags of one creator alone do not free the image.
                for email in emails:
                    own = [tag for tag in image if tag[2] == email]
                    part = _amounts(own, self._options.stale_before)
                    creators[email].add(part._replace(bytes=whole.bytes, stale_bytes=0))
        return self._options.summary(total, repositories, creators, self._known)


def _images(tags: dict[str, _Tag]) -> Iterable[list[_Tag]]:
    """Return the tags of each image of a repository."""
    images: defaultdict[str, list[_Tag]] = defaultdict(list)
    for tag in tags.values():
        images[tag[0]].append(tag)
    return images.values()


class Amounts(NamedTuple):
    """What some tags add to a group; see `Totals`."""

    tags: int
    images: int
    bytes: int
    tag_bytes: int
    stale: int
    stale_bytes: int
    oldest: datetime
    newest: datetime


def _amounts(tags: list[_Tag], stale_before: datetime) -> Amounts:
    """Return the amounts of one image's tags."""
    sizes = [size for _, size, _, _ in tags]
    times = [pushed for *_, pushed in tags]
    stale, size = sum(pushed < stale_before for pushed in times), max(sizes)
    freed = size if stale == len(tags) else 0
    return Amounts(len(tags), 1, size, sum(sizes), stale, freed, min(times), max(times))


class GroupTotals:
    """The totals of a group so far."""

    def __init__(self) -> None:
        self.tags = self.images = self.bytes = self.tag_bytes = self.stale = self.stale_bytes = 0
        self.oldest: datetime | None = None
        self.newest: datetime | None = None

    def add(self, amounts: Amounts) -> None:
        """Add the amounts of images."""
        self.tags += amounts.tags
        self.images += amounts.images
        self.bytes += amounts.bytes
        self.tag_bytes += amounts.tag_bytes
        self.stale += amounts.stale
        self.stale_bytes += amounts.stale_bytes
        if self.oldest is None or amounts.oldest < self.oldest:
            self.oldest = amounts.oldest
        if self.newest is None or amounts.newest > self.newest:
            self.newest = amounts.newest

    def totals(self, name: str) -> Totals:
        """Return the totals under a name."""
        return Totals(
            name,
            self.tags,
            self.bytes,
            self.oldest,
            self.newest,
            self.stale,
            self.images,
            self.tag_bytes,
            self.stale_bytes,
        )


def _largest_first(groups: dict[str, GroupTotals]) -> tuple[Totals, ...]:
    totals = [group.totals(name) for name, group in groups.items()]
    # A size may be negative, so sorting by bytes does not put groups without tags last.
    return tuple(sorted(totals, key=lambda each: (not each.tags, -each.bytes, each.name)))
