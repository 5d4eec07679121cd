"""The same people for each of the servers that are compared. Run as a module, it makes them in this server."""

import os
import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    os.environ["DJANGO_SETTINGS_MODULE"] = "main.settings"
    import django

    django.setup()

from harness.server import prepare_database
from users.management.commands.seed_users import Command, person
from users.models import User

PASSWORD = "correct-horse-battery"  # noqa: S105
# Alice asks. She has a conversation of its own with each of her friends: one is read, eight are written to, and in one
# the friend listens.
ALICE, FRIENDS = "alice", [f"friend{number}" for number in range(10)]
READ, WRITTEN, LISTENED = FRIENDS[0], FRIENDS[1:9], FRIENDS[9]

# Begins of words, which each of the servers can find: four that few people have, two that many have.
TERMS = ("quill", "zephyr", "otter", "adams", "ma", "ja")
PER_PAGE = 20


def people(count):
    """Accounts that are not saved, of names in many scripts, with usernames that Matrix allows, too."""
    users = [person(number, 1, "!") for number in range(count)]
    for number, user in enumerate(users):
        user.username = f"{re.sub('[^a-z]', '', user.username.lower()) or 'someone'}_{number}"
        user.email = f"{user.username}@example.org"
    return users


def shown_name(user):
    return f"{user.first_name} {user.last_name}".strip()


def with_part(users, term):
    """The usernames of those who have the text anywhere in their names and address."""
    return {user.username for user in users if term in f"{user.username} {shown_name(user)} {user.email}".lower()}


def with_begin_of_word(users, term):
    """The usernames of those who have a word in their names that begins with the text."""
    return {
        user.username
        for user in users
        if any(word.startswith(term) for word in re.findall(r"[^\W_]+", f"{user.username} {shown_name(user)}".lower()))
    }


def main():
    prepare_database()
    Command().make(people(int(sys.argv[1])))
    cast = [User(username=name, email=f"{name}@example.org", first_name=name.title()) for name in (ALICE, *FRIENDS)]
    for user in cast:
        user.set_password(PASSWORD)
        user.save()


if __name__ == "__main__":
    main()
