"""The settings. `dot_env_template` lists what can be set in the environment or in main/main/.env."""

import os
import re
import socket
import tempfile
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured
from dotenv import load_dotenv

BASE_DIR = Path(__file__).resolve().parent.parent

# The environment wins over the file. Without interpolation a password may contain "$".
load_dotenv(os.environ.get("ENV_FILE", BASE_DIR / "main" / ".env"), interpolate=False)


# Where Debian and Ubuntu, and Fedora and Amazon Linux, keep the authorities that they trust.
SYSTEM_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def text(name: str, default: str | None = None) -> str:
    """The value of a variable. An empty one counts as not set."""
    value = os.environ.get(name, "").strip() or default
    if value is None:
        raise ImproperlyConfigured(f"{name} is missing: set it in the environment or in main/main/.env.")
    return value


def switch(name: str, default: str) -> bool:
    value = text(name, default).lower()
    if value not in ("on", "off", "true", "false", "1", "0", "yes", "no"):
        raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}.")
    return value in ("on", "true", "1", "yes")


def whole_number(name: str, default: str, lowest: int, highest: int) -> int:
    value = text(name, default)
    if not re.fullmatch(r"[0-9]{1,9}", value) or not lowest <= int(value) <= highest:
        raise ImproperlyConfigured(f"{name} must be a whole number from {lowest} to {highest}, not {value!r}.")
    return int(value)


def one_of(name: str, default: str, *choices: str) -> str:
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def rate(name: str, default: str) -> tuple[int, int] | None:
    """A rate such as 10/min as (number, seconds), or None if it is empty."""
    value = os.environ.get(name, default).strip()
    periods = {"sec": 1, "min": 60, "hour": 3600, "day": 86400}
    if not value:
        return None
    match = re.fullmatch(rf"([1-9][0-9]{{0,8}})/({'|'.join(periods)})", value)
    if not match:
        raise ImproperlyConfigured(f"{name} must be such as 10/min, per {', '.join(periods)}, not {value!r}.")
    return int(match[1]), periods[match[2]]


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(word) for word in words(name)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must list addresses and networks: {error}.") from None


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def origins(name: str) -> tuple[list[str], list[str]]:
    """Origins as (exact ones, patterns). The port `*` means any port, or none."""
    exact, patterns = [], []
    for origin in words(name):
        if not re.fullmatch(r"https?://(\[[0-9a-fA-F:]+\]|[^\s/\[\]:*]+)(:[0-9]+|:\*)?", origin):
            raise ImproperlyConfigured(f"{name} must list origins such as https://example.org, not {origin!r}.")
        if origin.endswith(":*"):
            patterns.append(rf"^{re.escape(origin[:-2])}(:[0-9]+)?\Z")
        else:
            exact.append(origin)
    return exact, patterns


def existing_file(name: str) -> str:
    path = text(name, "")
    if path and not Path(path).is_file():
        raise ImproperlyConfigured(f"{name} names a file that is not there: {path}")
    return path


def authorities(name: str) -> str:
    """A file with the certificates of authorities; `system` means those that this machine trusts."""
    return authorities_of_system() if text(name, "") == "system" else existing_file(name)


def authorities_of_system() -> str:
    for path in (os.environ.get("SSL_CERT_FILE", ""), *SYSTEM_AUTHORITIES):
        if Path(path).is_file():
            return path
    raise ImproperlyConfigured("MYSQL_SSL_CA is to be the system's, which has none: install ca-certificates.")


def address(name: str, default: str) -> str:
    """Where to listen: host:port, [IPv6 address]:port, unix:/path, or systemd for the socket that it passes."""
    value = text(name, default)
    match = re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[^\s/\[\]:]+):([0-9]{1,5})|unix:/\S+|systemd", value)
    if not match or not 0 < int(match[1] or 1) < 65536:
        raise ImproperlyConfigured(
            f"{name} must be such as 127.0.0.1:8000 or unix:/run/chat.sock, or systemd, not {value!r}."
        )
    return value


def mail_address(name: str, default: str) -> str:
    """A mail address, alone or as Name <address>. What has a meaning in the header of a mail must be in quotes."""
    value = text(name, default)
    local, domain = r"[\w!#$%&'*+/=?^`{|}~-]+", r"(?:[\w.-]+|\[[\w.:]+\])"
    bare = rf"(?a:{local}(?:\.{local})*)@{domain}"
    breaks = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
    if not re.fullmatch(rf'{bare}|(?:[^<>@,:;()\[\]\\"{breaks}]+|"[^"\\{breaks}]+") <{bare}>', value):
        raise ImproperlyConfigured(
            f"{name} must be such as chat@example.org or Chat <chat@example.org>, not {value!r}."
        )
    return value


def url(name: str, default: str) -> str:
    """The beginning of URLs, without a slash at its end."""
    value = text(name, default).rstrip("/")
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]+)?", value):
        raise ImproperlyConfigured(f"{name} must be such as https://chat.example.org, not {value!r}.")
    return value


def redis(name: str) -> str:
    value = text(name, "")
    if value and not re.fullmatch(r"(rediss?|unix)://\S+", value):
        raise ImproperlyConfigured(f"{name} must be such as redis://127.0.0.1:6379/0.")
    return value


def secret(name: str, least: int) -> str:
    """A secret of at least so many characters that a header can hold, or an empty text. It is in no message."""
    value = text(name, "")
    if value and not re.fullmatch(rf"[!-~]{{{least},500}}", value):
        raise ImproperlyConfigured(
            f"{name} must have {least} to 500 letters, digits and signs of ASCII, without spaces."
        )
    return value


def database_account() -> dict[str, str]:
    """The account on a MySQL or MariaDB server: from MYSQL_*, else as platforms give it; empty without one."""
    if text("MYSQL_USER", ""):
        return {
            "USER": text("MYSQL_USER"),
            "PASSWORD": text("MYSQL_PASSWORD", ""),
            "HOST": text("MYSQL_SOCKET", "") or text("MYSQL_HOST", "127.0.0.1"),
            "PORT": str(whole_number("MYSQL_PORT", "3306", 1, 65535)),
            "NAME": text("MYSQL_DATABASE", "chat_app_db"),
        }
    if text("RDS_HOSTNAME", ""):  # AWS
        return {
            "USER": text("RDS_USERNAME"),
            "PASSWORD": text("RDS_PASSWORD", ""),
            "HOST": text("RDS_HOSTNAME"),
            "PORT": str(whole_number("RDS_PORT", "3306", 1, 65535)),
            "NAME": text("RDS_DB_NAME"),
        }
    # Heroku, and others
    return database_url("DATABASE_URL") or database_url("JAWSDB_URL") or database_url("CLEARDB_DATABASE_URL")


def database_url(name: str) -> dict[str, str]:
    """The account from mysql://user:password@host:port/database, whose parts are percent-encoded; empty without one."""
    value = text(name, "")
    if not value:
        return {}
    try:
        url = urlsplit(value)
        place = {"HOST": url.hostname or "", "PORT": str(url.port or 3306), "NAME": url.path.removeprefix("/")}
        account = {"USER": url.username or "", **place}
    except ValueError:
        account = {}
    if not account or not all(account.values()) or url.scheme not in ("mysql", "mysql2", "mariadb"):
        raise ImproperlyConfigured(f"{name} must be such as mysql://user:password@host:3306/database.")
    account |= {"PASSWORD": url.password or ""}
    return {key: unquote(part) for key, part in account.items()} | {"SSL_MODE": ssl_mode(name, url.query)}


def ssl_mode(name: str, query: str) -> str:
    """What the query of a URL asks for, by the names of the MySQL client: ssl-mode=REQUIRED. Others are ignored.

    What is about encryption and not understood stops the start: nobody should believe in it without having it.
    """
    mode = ""
    for key, value in parse_qsl(query):
        if key.lower() in ("ssl-mode", "ssl_mode", "sslmode"):
            mode = value.upper().replace("-", "_")
        elif key.lower() in ("ssl", "tls") and value.lower() in ("true", "1"):
            mode = mode or "REQUIRED"
        elif "ssl" in key.lower() or "tls" in key.lower():
            mode = "?"
    if mode not in ("", "DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"):
        raise ImproperlyConfigured(
            f"{name} may have ssl-mode=REQUIRED or VERIFY_IDENTITY after its ?, and no other option about encryption."
        )
    return mode


def mysql(account: dict[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "charset": "utf8mb4",
        "connect_timeout": 5,
        "read_timeout": 30,
        "write_timeout": 30,
        "init_command": "SET sql_mode='STRICT_TRANS_TABLES', innodb_lock_wait_timeout=5",
    }
    mode, file = account.pop("SSL_MODE", ""), authorities("MYSQL_SSL_CA")
    if file or mode.startswith("VERIFY"):
        # MariaDB's client library checks the name in both cases; MySQL's wants a file.
        mode, options["ssl"] = "VERIFY_IDENTITY", {"ca": file or authorities_of_system()}
    if mode:
        options["ssl_mode"] = mode
    return {"ENGINE": "common.mysql", **account, "PORT": int(account["PORT"]), "OPTIONS": options}


def sqlite() -> dict[str, Any]:
    return {
        "ENGINE": "common.sqlite",
        "NAME": text("SQLITE_FILE", str(BASE_DIR / "db.sqlite3")),
        # With Django's defaults 36 of 90 concurrent writes failed with "database is locked"; with these, none.
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        # A file, not memory: the tests of races use several connections.
        "TEST": {"NAME": Path(tempfile.gettempdir()) / f"chat-test-{os.getpid()}.sqlite3"},
    }


SECRET_KEY = text("SECRET_KEY")
DEBUG = switch("DEBUG", "off")
ALLOWED_HOSTS = words("ALLOWED_HOSTS", f"localhost,127.0.0.1,[::1],{socket.gethostname()}")

TOKEN_TTL_DAYS = whole_number("TOKEN_TTL_DAYS", "30", 1, 36500)

# Realtime: days for which a client can come back and get what it has missed, and a server that wakes other machines.
EVENTS_KEPT_DAYS = whole_number("EVENTS_KEPT_DAYS", "7", 1, 365)
REDIS_URL = redis("REDIS_URL")

# Limits as (number, seconds) or None: wrong passwords and registrations per address; searches, messages, new
# conversations and reports per user.
LOGIN_RATE = rate("LOGIN_RATE", "20/min")
REGISTER_RATE = rate("REGISTER_RATE", "60/min")
SEARCH_RATE = rate("SEARCH_RATE", "600/min")
SEND_RATE = rate("SEND_RATE", "1200/min")
OPEN_RATE = rate("OPEN_RATE", "60/min")
REPORT_RATE = rate("REPORT_RATE", "20/hour")
TRUSTED_PROXIES = networks("TRUSTED_PROXIES")

# The mail server. Without EMAIL_HOST no mail is sent. PUBLIC_URL is where the links in mails lead.
EMAIL_BACKEND = "mail.smtp.EmailBackend"
EMAIL_HOST = text("EMAIL_HOST", "")
EMAIL_TLS = one_of("EMAIL_TLS", "off", "off", "on", "starttls", "implicit")
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL_TLS in ("on", "starttls"), EMAIL_TLS == "implicit"
EMAIL_PORT = whole_number("EMAIL_PORT", "587" if EMAIL_USE_TLS else "465" if EMAIL_USE_SSL else "25", 1, 65535)
EMAIL_HOST_USER = text("EMAIL_USER", "")
EMAIL_HOST_PASSWORD = text("EMAIL_PASSWORD", "")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = mail_address("EMAIL_FROM", f"chat@{socket.gethostname()}")
PUBLIC_URL = url("PUBLIC_URL", "http://127.0.0.1:8000")

# The server: where it listens, its processes, and the threads of each process.
PORT = whole_number("PORT", "0", 0, 65535)
BIND = address("BIND", f"0.0.0.0:{PORT}" if PORT else "127.0.0.1:8000")
WEB_CONCURRENCY = whole_number("WEB_CONCURRENCY", "2", 1, 1000)
THREADS = whole_number("THREADS", "4", 1, 1000)

# Who may read GET /metrics. Without it nobody may.
METRICS_TOKEN = secret("METRICS_TOKEN", 16)

account = database_account()
DATABASES = {"default": mysql(account) if account else sqlite()}
# A new connection per request halves the throughput. Health checks notice connections that the server has closed.
DATABASES["default"] |= {"CONN_MAX_AGE": 300, "CONN_HEALTH_CHECKS": True}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "common",
    "events",
    "mail",
    "users",
    "conversations",
    "delivery",
    "moderation",
    "export",
    "web",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "common.middleware.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "common.middleware.CorsMiddleware",
    "common.middleware.HostMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "common.middleware.AdminMiddleware",
    "common.middleware.RequestLimitsMiddleware",
    "users.middleware.TokenAuthMiddleware",
]

ROOT_URLCONF = "main.urls"
WSGI_APPLICATION = "main.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Accounts

AUTH_USER_MODEL = "users.User"
AUTHENTICATION_BACKENDS = ["users.authentication.AdminBackend"]  # of the admin; the API has tokens
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # usernames are unique by their key
    "security.W005",  # HSTS_SECONDS says when subdomains are included, and preloading is allowed
    "security.W021",
]
# Only one: with a second hasher the time of a login would tell whether the account exists.
PASSWORD_HASHERS = ["users.hashers.Argon2idPasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# The API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["users.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "common.negotiation.AlwaysJSON",
    "DEFAULT_RENDERER_CLASSES": ["common.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "common.parsers.JSONParser",
        "common.parsers.FormParser",
        "common.parsers.MultiPartParser",
    ],
    "EXCEPTION_HANDLER": "common.handlers.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Chat server",
    "DESCRIPTION": "Accounts, a search for people, a contact book, a blacklist, and conversations.\n\n"
    "Log in at `POST /users/login` and send `Authorization: Token …` with every call that is locked here. Bodies are "
    "documented as JSON; a form, URL-encoded or multipart, with the same fields is taken as well."
    + ("" if EMAIL_HOST else "\n\nThis server sends no mail: the calls that need it answer 501."),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "PREPROCESSING_HOOKS": ["common.openapi.each_call_once"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "common.openapi.say_all",
        "delivery.documentation.say_nothing",
    ],
    "SCHEMA_PATH_PREFIX": "",
    "SORT_OPERATIONS": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    # Without a name here an enumeration is called after its field: MessageEnum.
    "ENUM_NAME_OVERRIDES": {
        "BlacklistMessage": [
            "Neither of you has blacklisted the other.",
            "You have blacklisted this user.",
            "This user has blacklisted you.",
            "You have blacklisted each other.",
        ],
        "ConversationKind": ["private", "group"],
        "HealthStatus": ["ok"],
        "Audience": "users.user_settings.AUDIENCE_NAMES",
        "Day": "users.hours.DAYS",
        "EventName": "delivery.wire.EVENT_NAMES",
        "EndReason": "delivery.wire.END_REASONS",
        "ReportReason": "moderation.models.REASONS",
        "ReportState": "moderation.models.STATES",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # No other site is asked: the validator would be sent every schema.
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "displayRequestDuration": True, "validatorUrl": None},
}

# No call needs a body of more than a few kilobytes.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]

# Cross-origin requests

CORS_ALLOW_ALL_ORIGINS = DEBUG
CORS_ALLOWED_ORIGINS, CORS_ALLOWED_ORIGIN_REGEXES = origins("CORS_ALLOWED_ORIGINS")
CORS_ALLOW_HEADERS = [*default_headers, "if-match", "if-none-match", "last-event-id"]
CORS_EXPOSE_HEADERS = ["Content-Disposition", "ETag", "Link", "Retry-After", "X-Request-ID"]

# HTTPS at the proxy in front. The proxy sets this header and must not let clients set it.

if HTTPS := switch("HTTPS", "off"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = ["^(healthz|readyz|metrics)$"]  # asked from within the network
    # For this time after a visit browsers refuse plain HTTP, so operators begin with an hour. The preload list of the
    # browsers requires a year.
    SECURE_HSTS_SECONDS = whole_number("HSTS_SECONDS", "3600", 1, 2 * 365 * 24 * 3600)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_HSTS_SECONDS >= 365 * 24 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS

# Pages

LANGUAGE_CODE = "en-us"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
# Static files are served from the packages, without collecting them.
WHITENOISE_USE_FINDERS = True

# Everything goes to standard error, one line each. SQL is never logged: its parameters contain digests.

LOG_FORMAT = one_of("LOG_FORMAT", "text", "text", "json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "{asctime} {levelname} {name} [{request_id}] {message}", "style": "{"},
        "json": {"()": "common.logs.JSONFormatter"},
    },
    "filters": {"complete": {"()": "common.logs.Completion"}},
    "handlers": {"console": {"class": "common.logs.ConsoleHandler", "formatter": LOG_FORMAT, "filters": ["complete"]}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO"},
        "django.db.backends": {"level": "INFO"},
        # Refusals are in the request's own line; this logger adds the details of failures.
        "django.request": {"level": "ERROR"},
        # It logs a warning for every request that is not HTTP.
        "uvicorn": {"level": "ERROR"},
    },
}
