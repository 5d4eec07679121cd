from django.apps import AppConfig


class MailConfig(AppConfig):
    name = "mail"

    def ready(self) -> None:
        from mail import checks, outbox  # noqa: F401  (they register themselves)
