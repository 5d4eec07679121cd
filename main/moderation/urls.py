from django.urls import path

from moderation import views

urlpatterns = [
    path("reports", views.ReportsView.as_view()),
]
