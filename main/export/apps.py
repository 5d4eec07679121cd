from django.apps import AppConfig


class ExportConfig(AppConfig):
    name = "export"

    def ready(self) -> None:
        from export import documentation  # noqa: F401  (it connects itself)
