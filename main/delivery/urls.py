from django.urls import path

from delivery import views

urlpatterns = [
    path("events", views.EventsView.as_view()),
]
