from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

LOCAL = ("localhost", "127.0.0.1", "::1")


@register(deploy=True)
def mail_is_encrypted(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Warn about mails, with codes in them, that cross a network as plain text."""
    is_encrypted = settings.EMAIL_USE_TLS or settings.EMAIL_USE_SSL
    if not settings.EMAIL_HOST or settings.EMAIL_HOST in LOCAL or is_encrypted:
        return []
    return [
        Warning(
            "Mails, and the password of the mail server, are sent to it without encryption.",
            hint="Set EMAIL_TLS to starttls or implicit.",
            id="mail.W001",
        )
    ]


@register(deploy=True)
def links_lead_here(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Warn about links in mails that lead to the machine of the reader."""
    if not settings.EMAIL_HOST or not settings.PUBLIC_URL.startswith("http://127.0.0.1:"):
        return []
    return [
        Warning(
            "The links in mails lead to 127.0.0.1.",
            hint="Set PUBLIC_URL to the address at which people reach this server.",
            id="mail.W002",
        )
    ]
