"""What the admin pages of all apps share."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ERROR_FLAG
from django.db.models import Count, Manager, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from common.keys import text_key


def number_of(rows: QuerySet[Any] | Manager[Any], field: str) -> Coalesce:
    """The number of these rows whose field, a foreign key, names the row of the page."""
    numbers = rows.filter(**{field: OuterRef("pk")}).order_by().values(field).annotate(number=Count("pk"))
    return Coalesce(Subquery(numbers.values("number")), 0)


class SafeLookups(admin.ModelAdmin):
    """Allows only the filters and the search that a page shows, whatever the URL asks for.

    Other lookups would let a moderator guess hidden values, character by character.
    """

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        if lookup in (getattr(each, "parameter_name", None) for each in self.list_filter):
            return True  # of a filter of our own, which does with the value what it wants
        field, _, kind = lookup.partition("__")
        return field in self.list_filter and kind in ("exact", "gte", "lt", "isnull")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return super().get_search_results(request, queryset, text_key(search_term[:100]))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        try:
            return super().changelist_view(request, extra_context)
        except OverflowError:
            # A time in the filter lies beyond the calendar once it is converted to UTC. Django redirects like this for
            # other invalid values.
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")


class ReadOnlyAdmin(SafeLookups):
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
