from django.urls import path

from conversations import views

urlpatterns = [
    path("conversations", views.ConversationsView.as_view()),
    path("conversations/private/<username>", views.PrivateConversationView.as_view()),
    path("conversations/groups", views.GroupsView.as_view()),
    path("conversations/<int:pk>", views.ConversationView.as_view()),
    path("conversations/<int:pk>/members/<username>", views.MemberView.as_view()),
    path("conversations/<int:pk>/messages", views.MessagesView.as_view()),
    path("conversations/<int:pk>/messages/<int:number>", views.MessageView.as_view()),
    path("conversations/<int:pk>/read", views.ReadView.as_view()),
]
