"""A drill that tries to learn hidden addresses, as a stranger among 10 000 people, through all that shows others."""

import http.client
import json
import random
import re
import string
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from statistics import median
from urllib.parse import quote

from django.core import signing
from django.core.management import call_command

from common.keys import text_key
from drills.service import PASSWORD, require, say
from harness.server import PORT, Server
from users.models import AuthToken, User
from users.user_settings import Audience, UserSettings

PEOPLE, TARGETS, LANES = 10_000, 24, 4
FIND = "/users/contacts/find-users"
ALPHABET = string.ascii_lowercase + string.digits
# What hides an address: who may see it, and whether the whole of it finds its owner.
WAYS = [(Audience.CONTACTS, True), (Audience.NOBODY, True), (Audience.CONTACTS, False), (Audience.NOBODY, False)]
# Parts of an address from this length are in nothing else by chance.
TELLING = 6
# Pages of a search that are compared, and pairs of searches whose times are.
MAX_PAGES, PAIRS = 3, 200

dice = random.Random("leaks")  # noqa: S311


class Answer:
    def __init__(self, status, text, link):
        self.status, self.text = status, text
        # The cursor of the next page, without its time and signature.
        cursor = re.search("cursor=([^&>]+)", link)
        self.place = cursor and cursor[1].replace("%3A", ":").rsplit(":", 2)[0]
        self.next = link.partition(">")[0].partition(str(PORT))[2]

    def require(self, *statuses):
        require(self.status in statuses, f"an answer is one of {statuses}, not {self.status} {self.text}")
        return self

    def names(self):
        return [user["username"] for user in json.loads(self.require(200).text)]

    def all_text(self):
        """The body, and what can be read in the cursor."""
        if not self.place:
            return self.text
        data = signing.b64_decode(self.place.lstrip(".").encode())
        return self.text + (zlib.decompress(data) if self.place.startswith(".") else data).decode()


class Client:
    """Calls with a token of its own, on one connection."""

    def __init__(self, user):
        self.headers = {"Content-Type": "application/json", "Authorization": f"Token {AuthToken.objects.issue(user)}"}
        self.to = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        self.used_at = 0

    def ask(self, method, path, body=None):
        if time.monotonic() - self.used_at > 1:
            self.to.close()  # The server closes connections that are idle; the next request opens a new one.
        self.to.request(method, path, None if body is None else json.dumps(body), self.headers)
        answer = self.to.getresponse()
        text, self.used_at = answer.read().decode(), time.monotonic()
        return Answer(answer.status, text, answer.getheader("Link", ""))

    def search(self, text, limit=20):
        return self.ask("GET", f"{FIND}?search={quote(text)}&limit={limit}")

    def pages(self, text, limit=20, most=None):
        answer = self.search(text, limit)
        yield answer
        number = 1
        while answer.next and number != most:
            answer, number = self.ask("GET", answer.next), number + 1
            yield answer


class Target:
    """Somebody whose address is hidden. `decoy` is an address that nobody has."""

    def __init__(self, user, findable):
        self.user, self.findable, self.username = user, findable, user.username
        self.names = [text_key(name) for name in (user.username, user.first_name, user.last_name)]
        self.address, self.decoy = some_address(), some_address()
        self.number = "+47 " + "".join(dice.choices(string.digits, k=12))

    def is_found_by(self, text):
        """Whether the names alone have every word of the text."""
        return all(any(word in name for name in self.names) for word in text_key(text).split())

    def secrets(self):
        starts = range(len(self.address) - len(".test") - TELLING + 1)
        return {self.number, *(self.address[start : start + TELLING] for start in starts)}


def some_address():
    local, domain = ("".join(dice.choices(ALPHABET, k=length)) for length in (10, 8))
    return f"{local}@{domain}.test"


def run(alice):
    """Print what a stranger has tried; fail if anything was learned."""
    began = time.monotonic()
    targets, control, hidden = hide_some()
    say(
        f"{User.objects.count()} people, of whom {len(hidden)} hide something, made in {time.monotonic() - began:.0f} s"
    )
    strangers = [Client(alice) for _ in range(LANES)]
    owners = [Client(target.user) for target in targets]
    with Server() as server:
        try_character_by_character(strangers, targets, control)
        try_parts_against_decoys(strangers, owners, targets)
        try_lists_of_everyone(strangers, targets, hidden)
        try_other_calls(strangers[0], owners, targets)
        try_addresses_of_ones_own(strangers[0], targets)
        compare_times(strangers[0], targets)
        failures = [line for line in server.lines() if "Traceback" in line]
    require(not failures, f"no traceback in the log: {failures[:3]}")
    say(f"learned nothing, in {time.monotonic() - began:.0f} s")


def hide_some():
    """Return the targets, somebody with an open address, and the usernames of all who hide theirs."""
    call_command("seed_users", count=PEOPLE, password=PASSWORD, stdout=StringIO())
    people = list(User.objects.exclude(username__in=["alice", "bob"]).order_by("pk"))
    hiding = people[::10]
    UserSettings.objects.bulk_create(
        UserSettings(
            user=user,
            email_for=WAYS[number % 4][0],
            phone_number_for=WAYS[number % 4][0],
            findable_by_address=WAYS[number % 4][1],
        )
        for number, user in enumerate(hiding)
    )
    step = len(hiding) // TARGETS | 1  # odd, so that all ways come
    targets = [Target(user, WAYS[number % 4][1]) for number, user in list(enumerate(hiding))[::step][:TARGETS]]
    control = Target(people[1], findable=True)
    for each in (*targets, control):
        fields = {"email": each.address, "email_key": each.address, "phone_number": each.number}
        User.objects.filter(pk=each.user.pk).update(**fields)
    # The settings and addresses were written past the index.
    call_command("index_search", repair=True, stdout=StringIO())
    return targets, control, {user.username for user in hiding}


def in_lanes(clients, work, items):
    """The results of the work, called with a client and an item, for each item."""

    def lane(number):
        return [work(clients[number], item) for item in items[number::LANES]]

    with ThreadPoolExecutor(LANES) as threads:
        lanes = list(threads.map(lane, range(LANES)))
    return [lanes[number % LANES][number // LANES] for number in range(len(items))]


def try_character_by_character(strangers, targets, control):
    """Add one character after the other to what is known to be a part, with the username as another word."""
    learned = learn(strangers[0], control)
    require(learned == control.address, f"an address that is not hidden can be learned so: {learned}")
    results = in_lanes(strangers, learn, targets)
    require(not any(results), f"learned of hidden addresses: {results}")
    say(f"character by character: all {len(learned)} of an open address, none of {len(targets)} hidden ones")


def learn(client, target):
    """As much of the address as can be learned."""

    def is_part(text):
        return target.username in client.search(f"{target.username} {text}").names()

    known = "@"
    while longer := next((known + each for each in ALPHABET + "." if is_part(known + each)), None):
        known = longer
    while longer := next((each + known for each in ALPHABET + "." if is_part(each + known)), None):
        known = longer
    return known if known != "@" or is_part("@") else ""


def try_parts_against_decoys(strangers, owners, targets):
    """Search for parts of addresses and of decoys; exchange them; all answers must be the same, byte for byte."""
    before = in_lanes(strangers, answers_about, targets)
    for owner, target in zip(owners, targets, strict=True):
        owner.ask("PUT", "/users/profile", {"email": target.decoy}).require(200)
        target.address, target.decoy = target.decoy, target.address
    after = in_lanes(strangers, answers_about, targets)
    for target, first, second in zip(targets, before, after, strict=True):
        different = [text for text in first if first[text] != second[text]]
        require(not different, f"what is told of {target.username} does not depend on the address: {different}")
    asked, pages = sum(map(len, before)), sum(len(told) for each in before for told in each.values())
    say(f"{asked} searches for parts of addresses and of decoys, {pages} pages, asked again after both were exchanged:")
    say("  presence, order, number of results and of pages, and cursors are the same")


def answers_about(client, target):
    told = {}
    for address in sorted((target.address, target.decoy)):
        for text in parts_of(address):
            for question in (text, f"{target.username} {text}", f"{text} {target.user.first_name}"):
                told[question] = list(told_by(client, target, question))
                if len(text) >= TELLING:
                    require(told[question] == [("[]", None)], f"a part finds nobody: {question} {told[question]}")
        for question in (f"{target.username} {address}", f"{address} qqqq", f"x{address}", f"{address}x"):
            told[question] = list(told_by(client, target, question))
    found = client.search(target.address.upper()).names()
    require(found == [target.username] * target.findable, f"the whole address finds as it is set: {found}")
    require(client.search(target.decoy).names() == [], "a decoy finds nobody")
    return told


def told_by(client, target, question):
    """The pages of a search, as (body, place of the cursor)."""
    for answer in client.pages(question, most=MAX_PAGES):
        require(target.username not in answer.names() or target.is_found_by(question), f"not found by {question}")
        yield answer.text, answer.place


def parts_of(address):
    lengths = (1, 2, 4, 9, len(address) - 1)
    middle = address.index("@") - 2
    return {
        *(address[:length] for length in lengths),
        *(address[-length:] for length in lengths[1:]),
        *(address[middle : middle + length] for length in (1, 2, 4, 9)),
    } - {".test", "test", "st"}


def try_lists_of_everyone(strangers, targets, hidden):
    """Read all pages of everyone, and of those who are found by a part that all addresses have."""
    everyone, by_part = in_lanes(strangers, lambda client, text: list(client.pages(text, limit=100)), ["", "@"])
    users = [user for answer in everyone for user in json.loads(answer.require(200).text)]
    require(len(users) == len({user["username"] for user in users}) == PEOPLE + 1, "everyone is listed once")
    shown = [user for user in users if user["username"] in hidden and (user["email"] or user["phone_number"])]
    require(not shown, f"nothing hidden is shown: {shown[:3]}")
    found = [name for answer in by_part for name in answer.names()]
    require(len(found) == len(set(found)) == PEOPLE + 1 - len(hidden), "those with open addresses are found once")
    require(not hidden & set(found), "nobody with a hidden address is found by @")
    require_no_secrets(targets, [*everyone, *by_part])
    say(f"{len(users)} people on {len(everyone)} pages, {len(found)} on {len(by_part)} by @: nothing of it")


def try_other_calls(stranger, owners, targets):
    """Take and show the targets in every other way."""
    cursor = json.loads(stranger.ask("GET", "/events").text)["cursor"]
    answers = []

    def ask(method, path, body=None, *, status=200):
        answers.append(stranger.ask(method, path, body).require(status))
        return json.loads(answers[-1].text or "null")

    for target, owner in zip(targets, owners, strict=True):
        name = quote(target.username)
        ask("GET", f"/users/contacts/view-user/{name}")
        ask("POST", f"/users/contacts/contact-book/{name}", status=201)
        ask("POST", f"/users/contacts/contact-book/{name}", status=409)
        ask("GET", f"/users/contacts/availability/{name}")
        ask("GET", f"/users/contacts/blacklist-user/{name}")
        ask("POST", f"/users/contacts/blacklist-user/{name}", status=201)
        ask("POST", f"/conversations/private/{name}", status=403)
        ask("DELETE", f"/users/contacts/blacklist-user/{name}")
        private = ask("POST", f"/conversations/private/{name}", status=201)["id"]
        ask("POST", f"/conversations/private/{name}")
        group = ask("POST", "/conversations/groups", {"name": "x", "members": [target.username]}, status=201)["id"]
        for conversation in (private, group):
            owner.ask("POST", f"/conversations/{conversation}/messages", {"text": "Hello"}).require(201)
            ask("GET", f"/conversations/{conversation}")
            ask("GET", f"/conversations/{conversation}/messages")
        for text in (target.address, target.decoy):  # an address is not a username
            refusal = ask("POST", "/conversations/groups", {"name": "x", "members": [text]}, status=400)
            require(list(refusal) == ["members"], f"an address is no member: {refusal}")
            answers.pop()  # it may repeat what was asked
            for path in ("view-user", "availability", "blacklist-user"):
                ask("GET", f"/users/contacts/{path}/{quote(text)}", status=404)
        owner.ask("PUT", "/users/profile", {"bio": "New."}).require(200)
    for path in ("/users/contacts/contact-book", "/users/contacts/availability", "/conversations?limit=100"):
        ask("GET", path)
    kinds, more = set(), True
    while more:
        page = ask("GET", f"/events?after={cursor}&limit=100")
        kinds |= {event["event"] for event in page["events"]}
        cursor, more = page["cursor"], page["more"]
    require(kinds == {"contact", "blacklist", "conversation", "message"}, f"events of all of it: {kinds}")
    require_no_secrets(targets, answers)
    say(f"{len(answers)} answers of view-user, contact book, blacklist, availability, conversations, groups, messages")
    say(f"  and events ({', '.join(sorted(kinds))}): nothing of an address or a number")


def require_no_secrets(targets, answers):
    text = "\n".join(answer.all_text() for answer in answers).lower()
    for target in targets:
        shown = [secret for secret in target.secrets() if secret in text]
        require(not shown, f"nothing of {target.username}'s is shown: {shown}")


def try_addresses_of_ones_own(stranger, targets):
    """Take addresses like those of the targets. That one is taken tells of the whole alone, and is documented."""
    near_misses = 0
    for target in targets:
        local, _, domain = target.address.partition("@")
        near = [f"{local[:-1]}@{domain}", f"{local[1:]}@{domain}", f"{local}x@{domain}", f"{local}@x{domain}"]
        for address in (*near, target.decoy):
            stranger.ask("PUT", "/users/profile", {"email": address}).require(200)
        near_misses += len(near)
        refused = stranger.ask("PUT", "/users/profile", {"email": target.address}).require(400)
        require(json.loads(refused.text) == {"email": ["This e-mail address is taken."]}, "a taken address is refused")
    for number, target in enumerate(targets[:4]):
        body = {"username": f"newcomer{number}", "password": PASSWORD}
        stranger.ask("POST", "/users/register", body | {"email": target.address}).require(400)
        stranger.ask("POST", "/users/register", body | {"email": target.address[:-1]}).require(201)
    say(f"{near_misses} addresses of one's own that differ in a character: accepted; whole ones are refused as taken")


def compare_times(stranger, targets):
    """Compare how long searches for parts of addresses and of decoys take, in turns."""
    unfindable = [target for target in targets if not target.findable]
    kinds = {
        "a part": (targets, lambda target, address: address[:9]),
        "the username and a part": (targets, lambda target, address: f"{target.username} {address[:9]}"),
        "the whole, which finds nobody": (unfindable, lambda target, address: address),
    }
    for kind, (those, question) in kinds.items():
        times = {True: [], False: []}
        for number in range(PAIRS):
            target = those[number % len(those)]
            for is_true in (True, False) if number % 2 else (False, True):
                text = question(target, target.address if is_true else target.decoy)
                began = time.perf_counter()
                stranger.search(text).require(200)
                times[is_true].append(time.perf_counter() - began)
        true, decoy = median(times[True]), median(times[False])
        say(f"times, {kind}: {1000 * true:.2f} ms, of a decoy {1000 * decoy:.2f} ms, ratio {true / decoy:.2f}")
        require(0.8 <= true / decoy <= 1.25, "the time tells nothing")
