"""The API's rows as plain pydantic models, for peers that take a model to make."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel


class Creator(BaseModel):
    """As the package's own."""

    id: str
    email: str
    role: str
    is_registered: bool
    display_name: str | None = None
    created_at: datetime
    updated_at: datetime


class Tag(BaseModel):
    """As the package's own."""

    id: int
    name: str
    digest: str
    size: int
    media_type: str
    creator: Creator
    created_at: datetime
    updated_at: datetime


class Repository(BaseModel):
    """As the package's own."""

    id: str
    organization_id: str
    name: str
    description: str | None = None
    tags: tuple[Tag, ...] | None = None
    creator: Creator
    created_at: datetime
    updated_at: datetime
