"""Flask with SQLAlchemy: `DATABASE=shop.db flask --app transactions.flask_app run`, from `examples`."""

from __future__ import annotations

import os

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from lagoqueue import dispatch_sync
from lagoqueue_sql import SyncSQLQueue
from transactions.welcome import SendWelcomeEmail

engine = sa.create_engine(f"sqlite:///{os.environ.get('DATABASE', 'shop.db')}")
session = scoped_session(sessionmaker(engine))  # as Flask-SQLAlchemy's db.session is
queue = SyncSQLQueue(engine)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    address: Mapped[str] = mapped_column(primary_key=True)


class Mail(Base):
    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str]


Base.metadata.create_all(engine)
queue.setup()
app = Flask(__name__)


@app.post("/users/<address>")
def sign_up(address: str) -> tuple[dict[str, str], int]:
    dispatch_sync(queue.within(session), SendWelcomeEmail(address))
    session.add(User(address=address))
    try:
        session.commit()  # the user and the job, or neither
    except IntegrityError:
        return {"detail": "this user is there already"}, 409
    return {"address": address}, 201


@app.teardown_appcontext
def end_session(error: BaseException | None) -> None:
    session.remove()
