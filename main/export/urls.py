from django.urls import path

from export import views

urlpatterns = [
    path("users/export", views.ExportView.as_view()),
]
