from django.urls import path

from benchmarks import limits

urlpatterns = [
    path("limits/orm", limits.orm),
    path("limits/orm-twice", limits.orm_twice),
    path("limits/raw", limits.raw),
    path("limits/send/<int:pk>", limits.send),
]
