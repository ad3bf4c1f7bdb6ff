"""The API's rows as plain pydantic models, for peers that take a model to make."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, create_model


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


def openai_repository() -> type[Repository]:
    """Return the same over openai's own kind of model, which is the one that it makes."""
    from openai import BaseModel

    creator = create_model("Creator", __base__=(Creator, BaseModel))
    return create_model("Repository", __base__=(Repository, BaseModel), creator=(creator, ...))
