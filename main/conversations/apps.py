from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "conversations"

    def ready(self) -> None:
        from conversations import documentation, receivers  # noqa: F401  (they connect themselves)
