from django.urls import path

from web import views

urlpatterns = [
    path("chat", views.chat),
    path("chat/<version>/<name>", views.file),
]
