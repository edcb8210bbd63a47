"""FastAPI with SQLAlchemy's asyncio: `DATABASE=shop.db uvicorn transactions.fastapi_app:app`, from `examples`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from lagoqueue import dispatch
from lagoqueue_sql import SQLQueue
from transactions.welcome import SendWelcomeEmail

engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ.get('DATABASE', 'shop.db')}")
new_session = async_sessionmaker(engine)
queue = SQLQueue(engine)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    address: Mapped[str] = mapped_column(primary_key=True)


class Mail(Base):
    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with queue:
        await queue.setup()
        yield
    await engine.dispose()


async def session() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session


app = FastAPI(lifespan=lifespan)


@app.post("/users/{address}", status_code=201)
async def sign_up(address: str, session: Annotated[AsyncSession, Depends(session)]) -> dict[str, str]:
    await dispatch(queue.within(session), SendWelcomeEmail(address))
    session.add(User(address=address))
    try:
        await session.commit()  # the user and the job, or neither
    except IntegrityError:
        raise HTTPException(409, "this user is there already") from None
    return {"address": address}
