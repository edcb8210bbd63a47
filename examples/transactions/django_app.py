"""Django in one file: `DATABASE=shop.db python -m transactions.django_app runserver`, from `examples`."""

from __future__ import annotations

import os
import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.db import IntegrityError, connection, models, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path

from lagoqueue import dispatch_sync
from lagoqueue_sql import SyncSQLQueue
from transactions.welcome import SendWelcomeEmail

DATABASE = os.environ.get("DATABASE", "shop.db")

settings.configure(
    DEBUG=True,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for this example only",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
)
django.setup()
queue = SyncSQLQueue(f"sqlite:///{DATABASE}")


class User(models.Model):
    address = models.CharField(max_length=200, primary_key=True)  # type: ignore[var-annotated]

    class Meta:
        app_label = "shop"
        db_table = "users"


class Mail(models.Model):
    id = models.AutoField(primary_key=True)  # type: ignore[var-annotated]
    address = models.CharField(max_length=200)  # type: ignore[var-annotated]

    class Meta:
        app_label = "shop"
        db_table = "outbox"


def make_tables() -> None:
    """Instead of migrations, which need more than one file."""
    with connection.schema_editor() as editor:
        for model in (User, Mail):
            if model._meta.db_table not in connection.introspection.table_names():
                editor.create_model(model)
    queue.setup()


def sign_up(request: HttpRequest, address: str) -> JsonResponse:
    try:
        with transaction.atomic():  # the user and the job, or neither
            dispatch_sync(queue.within(connection), SendWelcomeEmail(address))
            User.objects.create(address=address)
    except IntegrityError:
        return JsonResponse({"detail": "this user is there already"}, status=409)
    return JsonResponse({"address": address}, status=201)


urlpatterns = [path("users/<str:address>", sign_up)]
make_tables()
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
