from django.urls import path

from users import views

urlpatterns = [
    path("login", views.LoginView.as_view()),
    path("register", views.RegisterView.as_view()),
    path("logout", views.LogoutView.as_view()),
    path("logout-all", views.LogoutAllView.as_view()),
    path("password", views.PasswordView.as_view()),
    path("profile", views.ProfileView.as_view()),
    path("settings", views.SettingsView.as_view()),
    path("email/verify", views.VerifyEmailView.as_view()),
    path("email/confirm", views.ConfirmEmailView.as_view()),
    path("password/forgot", views.ForgotPasswordView.as_view()),
    path("password/reset", views.ResetPasswordView.as_view()),
    path("contacts/find-users", views.FindUsersView.as_view()),
    path("contacts/view-user/<username>", views.ViewUserView.as_view()),
    path("contacts/blacklist-user/<username>", views.BlacklistUserView.as_view()),
    path("contacts/contact-book", views.ContactBookView.as_view()),
    path("contacts/contact-book/", views.ContactBookView.as_view()),
    path("contacts/contact-book/<username>", views.ContactView.as_view()),
    path("contacts/availability", views.AvailabilitiesView.as_view()),
    path("contacts/availability/<username>", views.AvailabilityView.as_view()),
]
