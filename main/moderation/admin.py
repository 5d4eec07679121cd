from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from rest_framework.exceptions import APIException

from common.admin import ReadOnlyAdmin
from moderation import actions, desk
from moderation.forms import DecisionForm
from moderation.models import Decision, Report, ReportQuerySet, What
from users import actions as user_actions
from users.admin import UserAdmin
from users.models import User, UserQuerySet


class StateFilter(admin.SimpleListFilter):
    """Open reports, unless the closed ones are asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("closed", "Closed")]

    def choices(self, changelist: ChangeList) -> Any:
        for choice in super().choices(changelist):
            yield choice | ({"display": "Open"} if choice["display"] == "All" else {})

    def queryset(self, request: HttpRequest, queryset: ReportQuerySet) -> ReportQuerySet:  # type: ignore[override]
        return queryset.closed() if self.value() == "closed" else queryset.open()


class ReportList(ChangeList):
    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().get_queryset(request, *args, **kwargs).only("pk")

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = desk.rows_of([report.pk for report in self.result_list])


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    """The desk of the moderators: what waits, the oldest first, and a page for each report."""

    list_filter = (StateFilter, "reason")
    search_fields = ("reported__username_key",)
    search_help_text = "Part of the reported person's username."
    # The order is fixed: another one would count or sort everything.
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    actions = None

    class Media:
        css = {"all": ("moderation/report.css",)}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ReportList

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        shown = ("person", "reason", "earlier_reports", "decisions", "reported_at")
        return (*shown, "was_closed_at") if _shows_closed(request) else shown

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-closed_at", "-pk") if _shows_closed(request) else ("pk",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = "Closed reports, the latest first" if _shows_closed(request) else "Open reports, the oldest first"
        return super().changelist_view(request, {"title": title} | (extra_context or {}))

    @admin.display(description="reported person")
    def person(self, report: Report) -> str:
        # The whole of a long name is on the page of the report.
        return format_html("<bdi>{}</bdi>", Truncator(desk.reported_as(report)).chars(40))

    @admin.display(description="reported")
    def reported_at(self, report: Report) -> str:
        return short(report.created_at)

    @admin.display(description="closed")
    def was_closed_at(self, report: Report) -> str:
        return short(report.closed_at)

    @admin.display(description="earlier")
    def earlier_reports(self, report: Report) -> int:
        return report.earlier_reports

    @admin.display(description="decisions")
    def decisions(self, report: Report) -> int:
        return report.decisions

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of a report, where it is decided."""
        report = self.find(request, object_id)
        form = DecisionForm(request.POST or None, can_be_punished=desk.can_be_punished(report))
        if request.method == "POST":
            if not request.user.has_perm("moderation.decide_report"):
                raise PermissionDenied
            if form.is_valid():
                if self.decide(request, report, form):
                    return HttpResponseRedirect(self.url_of_list(request))
                # As it is now: somebody else was faster.
                report = self.find(request, object_id)
                form = DecisionForm(request.POST, can_be_punished=desk.can_be_punished(report))
        context = {
            **self.admin_site.each_context(request),
            **desk.page_of(report),
            "opts": self.opts,
            "title": f"Report {report.pk}: {report.get_reason_display()}",
            "form": form,
            "may_decide": request.user.has_perm("moderation.decide_report"),
            "is_about_oneself": report.reported_id == request.user.pk,
        }
        return TemplateResponse(request, "moderation/report.html", context)

    def url_of_list(self, request: HttpRequest) -> str:
        """The list as it was filtered when the report was chosen from it."""
        filters: dict[str, Any] = {"preserved_filters": self.get_preserved_filters(request), "opts": self.opts}
        return add_preserved_filters(filters, reverse("admin:moderation_report_changelist"))

    def find(self, request: HttpRequest, object_id: str) -> Report:
        if not self.has_view_permission(request):
            raise PermissionDenied
        report = self.get_object(request, unquote(object_id))
        if report is None:
            raise Http404
        return report

    def decide(self, request: HttpRequest, report: Report, form: DecisionForm) -> bool:
        """Decide as the form says, or tell why not; return whether it was decided."""
        what, days = form.chosen
        try:
            decision = actions.decide(report.pk, cast(User, request.user), what, form.cleaned_data["why"], days)
        except APIException as refusal:
            self.message_user(request, str(refusal.detail), messages.ERROR)
            return False
        self.message_user(request, told(decision), messages.SUCCESS)
        return True


def _shows_closed(request: HttpRequest) -> bool:
    return request.GET.get("state") == "closed"


def short(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "–"


def told(decision: Decision) -> str:
    if decision.what == What.DISMISSED:
        return "The report was closed without consequence."
    if decision.what == What.SUSPENDED:
        return f"The account {decision.username} is suspended until {short(decision.until)} UTC."
    return f"The account {decision.username} was deactivated."


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    """The audit trail. Nobody changes or deletes a row, superusers included."""

    list_display = ("when", "who", "outcome", "whom", "why", "report")
    list_filter = ("what", "decided_at")
    search_fields = ("names_key",)
    search_help_text = "Part of the username of the person, or of the moderator."
    fields = ("decided_at", "who", "outcome", "whom", "why", "report")
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-pk",)

    class Media:
        css = {"all": ("moderation/report.css",)}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Decisions, the latest first"} | (extra_context or {}))

    @admin.display(description="when")
    def when(self, decision: Decision) -> str:
        return short(decision.decided_at)

    @admin.display(description="moderator")
    def who(self, decision: Decision) -> str:
        return format_html("<bdi>{}</bdi>", decision.moderator)

    @admin.display(description="what")
    def outcome(self, decision: Decision) -> str:
        until = f" until {short(decision.until)} UTC" if decision.until else ""
        return f"{decision.get_what_display()}{until}"

    @admin.display(description="user")
    def whom(self, decision: Decision) -> str:
        return format_html("<bdi>{}</bdi>", decision.username)

    @admin.display(description="report")
    def report(self, decision: Decision) -> str:
        if decision.report_id is None:
            return "–"
        url = reverse("admin:moderation_report_change", args=[decision.report_id])
        return format_html('<a href="{}">{}</a>', url, decision.report_id)


# Accounts: what is decided in their list leaves a row in the trail, too.


class SuspendedFilter(admin.SimpleListFilter):
    title = "suspended"
    parameter_name = "suspended"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: UserQuerySet) -> UserQuerySet:  # type: ignore[override]
        return {"yes": queryset.suspended, "no": queryset.not_suspended}.get(self.value() or "", queryset.all)()


# What the actions of the list say that they have done.
DONE = {
    "deactivated": What.DEACTIVATED,
    "reactivated": What.REACTIVATED,
    "released from their suspension": What.SUSPENSION_ENDED,
}

admin.site.unregister(User)


@admin.register(User)
class AccountAdmin(UserAdmin):
    list_display = (*UserAdmin.list_display, "suspension")  # type: ignore[assignment]
    list_filter = (UserAdmin.list_filter[0], SuspendedFilter, *UserAdmin.list_filter[1:])  # type: ignore[assignment]
    readonly_fields = (*UserAdmin.readonly_fields, "suspended_until")  # type: ignore[assignment]
    fieldsets = (*UserAdmin.fieldsets, ("Suspension", {"fields": ("suspended_until",)}))  # type: ignore[assignment]
    actions = (*UserAdmin.actions, "end_suspension")  # type: ignore[assignment]

    @admin.display(description="suspended until", ordering="suspended_until")
    def suspension(self, user: User) -> Any:
        return user.suspended_until if user.is_suspended else None

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("moderation.decide_report")

    @admin.action(description="End the suspension of the selected accounts", permissions=["decide"])
    def end_suspension(self, request: HttpRequest, queryset: UserQuerySet) -> None:
        self.act(request, queryset.suspended(), user_actions.end_suspension, "released from their suspension")

    def act(self, request: HttpRequest, queryset: UserQuerySet, action: Callable[[User], None], done: str) -> None:
        def decide(user: User) -> None:
            actions.decide_without_report(cast(User, request.user), user, DONE[done], action)

        super().act(request, queryset, decide, done)

    def save_model(self, request: HttpRequest, obj: Model, form: ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data:
            user = cast(User, obj)
            what = What.REACTIVATED if user.is_active else What.DEACTIVATED
            why = "In the form of the account, without a report."
            actions.note_without_report(cast(User, request.user), user, what, why)
