from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "users"

    def ready(self) -> None:
        from users import deletion, documentation, letters, receivers  # noqa: F401  (they connect themselves)
