from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from common.views import index

admin.site.site_header = admin.site.site_title = "Chat server administration"
admin.site.index_title = "Accounts"

urlpatterns = [
    path("", index),
    path("users/", include("users.urls")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
]

handler400 = "common.errors.bad_request"
handler403 = "common.errors.permission_denied"
handler404 = "common.errors.not_found"
handler500 = "common.errors.server_error"
