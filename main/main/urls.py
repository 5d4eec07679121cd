from django.contrib import admin
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerView

from common.access import public
from common.views import HealthView, IndexView, ReadyView, SchemaView, see_metrics

admin.site.site_header = admin.site.site_title = "Chat server administration"
admin.site.index_title = "Accounts"

urlpatterns = [
    path("", IndexView.as_view()),
    path("healthz", HealthView.as_view()),
    path("readyz", ReadyView.as_view()),
    path("metrics", public(csrf_exempt(see_metrics))),
    path("schema", SchemaView.as_view(), name="schema"),
    path("docs", public(SpectacularSwaggerView.as_view())),
    path("users/", include("users.urls")),
    path("", include("conversations.urls")),
    path("", include("moderation.urls")),
    path("", include("delivery.urls")),
    path("", include("export.urls")),
    path("", include("web.urls")),
    path("admin", public(csrf_exempt(RedirectView.as_view(url="/admin/")))),
    path("admin/", admin.site.urls),
]

handler400 = "common.handlers.bad_request"
handler403 = "common.handlers.permission_denied"
handler404 = "common.handlers.not_found"
handler500 = "common.handlers.server_error"
