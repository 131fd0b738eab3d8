"""The declarative base and the column types that every table shares."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from sqlalchemy import BigInteger, DateTime, ForeignKey, MetaData, Numeric, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

__all__ = [
    "SCHEMA",
    "Base",
    "Json",
    "JsonList",
    "Money",
    "Now",
    "OwnerId",
    "Pk",
    "ProjectId",
    "RunAt",
    "Tags",
    "Timestamp",
]  # fmt: skip

#: The schema of all tables; first on every login's search_path.
SCHEMA = "wb"

Pk = Annotated[uuid.UUID, mapped_column(Uuid, primary_key=True, server_default=text("gen_random_uuid()"))]
OwnerId = Annotated[uuid.UUID, mapped_column(ForeignKey("wb.users.id", ondelete="RESTRICT"), index=True)]
ProjectId = Annotated[uuid.UUID, mapped_column(ForeignKey("wb.projects.id", ondelete="CASCADE"), index=True)]
Timestamp = Annotated[dt.datetime, mapped_column(DateTime(timezone=True))]
Now = Annotated[dt.datetime, mapped_column(DateTime(timezone=True), server_default=text("now()"))]
#: The start of the run that a row belongs to; part of the key, so that the table can be partitioned.
RunAt = Annotated[dt.datetime, mapped_column(DateTime(timezone=True), primary_key=True)]
Json = Annotated[dict[str, Any], mapped_column(JSONB, server_default=text("'{}'::jsonb"))]
JsonList = Annotated[list[Any], mapped_column(JSONB, server_default=text("'[]'::jsonb"))]
Tags = Annotated[list[str], mapped_column(ARRAY(Text), server_default=text("'{}'::text[]"))]
#: US dollars; ten decimals, because one token may cost 0.0000000375.
Money = Annotated[Decimal, mapped_column(Numeric(18, 10))]


class Base(DeclarativeBase):
    """Base of all tables, in schema ``wb``."""

    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        },
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        Decimal: Numeric(18, 10),
        dt.datetime: DateTime(timezone=True),
    }
