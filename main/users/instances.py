"""What a client sees of a user: the user instance."""

INSTANCE_FIELDS = ("username", "email", "first_name", "last_name", "bio", "phone_number")
