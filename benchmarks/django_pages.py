"""Pages of events as a user would build them with Django REST framework.

`gunicorn benchmarks.django_pages:application`, with `BENCH_DATABASE_URL`. It checks the key, caches it for 2
seconds, and commits the record of the read before it answers. It logs, measures and limits nothing.
"""

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import django
from django.conf import settings

url = urlsplit(os.environ["BENCH_DATABASE_URL"])
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": url.hostname,
            "PORT": url.port,
            "USER": url.username,
            "PASSWORD": url.password,
            "NAME": url.path[1:],
            "OPTIONS": {"pool": {"min_size": 5, "max_size": 10}},
        }
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a benchmark",  # noqa: S106 - signs nothing
    USE_TZ=True,
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from django.contrib.postgres.fields import ArrayField
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from django.db import models
from django.urls import path
from rest_framework import exceptions, generics, pagination, serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

CACHED_SECONDS = 2


class Key(models.Model):
    """An API key."""

    id = models.UUIDField(primary_key=True)
    name = models.TextField()
    key_hash = models.BinaryField()
    scopes = ArrayField(models.TextField())
    revoked_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "bench"
        managed = False
        db_table = '"ops"."api_keys"'


@dataclass(frozen=True)
class Caller:
    """The key of a request, as it is cached."""

    id: UUID
    name: str
    scopes: list[str]
    is_authenticated: bool = True


class AuditLog(models.Model):
    """An event."""

    id = models.UUIDField(primary_key=True, db_default=models.Func(function="gen_random_uuid"))
    event_type = models.CharField(max_length=50)
    user_id = models.UUIDField(null=True)
    resource_type = models.CharField(max_length=50, null=True)
    resource_id = models.UUIDField(null=True)
    action = models.CharField(max_length=100, null=True)
    details = models.JSONField(null=True)
    ip_address = models.GenericIPAddressField(null=True)
    status = models.CharField(max_length=20, null=True)
    duration_ms = models.IntegerField(null=True)
    created_at = models.DateTimeField(db_default=models.functions.Now())
    created_by = models.CharField(max_length=255, null=True)
    received_at = models.DateTimeField(db_default=models.functions.Now())
    key_id = models.UUIDField(null=True)
    peer_address = models.GenericIPAddressField(null=True)
    subject_id = models.UUIDField(null=True)
    origin = models.TextField(null=True)

    class Meta:
        app_label = "bench"
        managed = False
        db_table = "audit_logs"


class EventSerializer(serializers.ModelSerializer[AuditLog]):
    """An event as it is returned."""

    class Meta:
        model = AuditLog
        fields = "__all__"


class KeyAuthentication(BaseAuthentication):
    """Finds the key of a request."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        """The key, or None without one. Raises AuthenticationFailed."""
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return None
        key_hash = hashlib.sha256(sent.encode()).digest()
        caller: Caller | None = cache.get(key_hash.hex())
        if caller is None:
            key = Key.objects.filter(key_hash=key_hash, revoked_at=None).first()
            if key is None or (key.expires_at and key.expires_at <= datetime.now(UTC)):
                raise exceptions.AuthenticationFailed
            caller = Caller(key.id, key.name, key.scopes)
            cache.set(key_hash.hex(), caller, CACHED_SECONDS)
        return caller, None

    def authenticate_header(self, _: Request) -> str:
        """What is missing without a key."""
        return "Bearer"


class MayRead(BasePermission):
    """The key must have the scope audit:read."""

    def has_permission(self, request: Request, _: APIView) -> bool:
        """Whether it has."""
        return isinstance(request.user, Caller) and "audit:read" in request.user.scopes


class NewestFirst(pagination.CursorPagination):
    """Pages of 100."""

    page_size = 100
    ordering = ("-created_at", "-id")


class Events(generics.ListAPIView[AuditLog]):
    """The newest events that match the filters, of yesterday and later."""

    authentication_classes = (KeyAuthentication,)
    permission_classes = (MayRead,)
    serializer_class = EventSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> Any:
        """The selected events."""
        yesterday = datetime.combine(datetime.now(UTC).date() - timedelta(days=1), time.min, UTC)
        return AuditLog.objects.filter(
            event_type=self.request.query_params["eventType"],
            status=self.request.query_params["status"],
            created_at__gte=yesterday,
        )

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A page, after the record of the read is committed."""
        response = super().list(request, *args, **kwargs)
        AuditLog.objects.create(
            event_type="audit_access",
            action="audit.read",
            status="success",
            resource_type="audit_logs",
            details={
                "key_id": str(request.user.id),
                "filters": dict(request.query_params.items()),
                "rows": len(response.data["results"]),
            },
            ip_address=request.META["REMOTE_ADDR"],
            created_by=request.user.name,
            key_id=request.user.id,
            peer_address=request.META["REMOTE_ADDR"],
            origin="api",
        )
        return response


urlpatterns = [path("api/admin/audit-logs", Events.as_view())]
application = get_wsgi_application()
