from django.apps import AppConfig


class ModerationConfig(AppConfig):
    name = "moderation"

    def ready(self) -> None:
        from moderation import documentation, receivers  # noqa: F401  (they connect themselves)
