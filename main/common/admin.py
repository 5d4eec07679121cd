"""What the admin pages of all apps share."""

from django.contrib import admin
from django.contrib.admin.views.main import ERROR_FLAG
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponseRedirect

from common.keys import text_key


def number_of(model, field):
    """The number of the model's rows whose field, a foreign key, names the row of the page."""
    rows = model.objects.filter(**{field: OuterRef("pk")}).order_by().values(field)
    return Coalesce(Subquery(rows.annotate(number=Count("pk")).values("number")), 0)


class SafeLookups:
    """Lets a page be filtered and searched by what it offers, and by nothing else that stands in the URL.

    Any other lookup would let a moderator guess at what is not shown, character by character.
    """

    def lookup_allowed(self, lookup, value, request=None):
        field, _, kind = lookup.partition("__")
        return field in self.list_filter and kind in ("exact", "gte", "lt", "isnull")

    def get_search_results(self, request, queryset, search_term):
        return super().get_search_results(request, queryset, text_key(search_term[:100]))

    def changelist_view(self, request, extra_context=None):
        try:
            return super().changelist_view(request, extra_context)
        except OverflowError:
            # A time in the filter lies beyond the calendar once it is converted to UTC. Django redirects like this for
            # other invalid values.
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")


class ReadOnlyAdmin(SafeLookups, admin.ModelAdmin):
    show_full_result_count = False

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False
