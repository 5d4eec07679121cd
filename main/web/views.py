from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from common.access import public
from web.files import File, files

# Nothing but the page's own files and this server's calls; no inline scripts and styles; text is never parsed as HTML.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
)


@public
@require_safe
def chat(request: HttpRequest) -> HttpResponse:
    """The chat page, for browsers."""
    answer = answer_with(request, files().page)
    answer["Content-Security-Policy"] = POLICY
    answer["Cache-Control"] = "no-cache"
    answer["ETag"] = f'"{files().version}"'
    return get_conditional_response(request, etag=answer["ETag"], response=answer) or answer


@public
@require_safe
def file(request: HttpRequest, version: str, name: str) -> HttpResponse:
    """A file of the chat page."""
    found = files().others.get(name)
    if found is None:
        raise Http404
    answer = answer_with(request, found)
    # Another version is asked for while servers are replaced one after the other. That answer must not be kept.
    is_current = version == files().version
    answer["Cache-Control"] = "public, max-age=31536000, immutable" if is_current else "no-store"
    return answer


def answer_with(request: HttpRequest, file: File) -> HttpResponse:
    is_compressed = "gzip" in request.headers.get("Accept-Encoding", "")
    answer = HttpResponse(file.compressed if is_compressed else file.text, content_type=file.content_type)
    if is_compressed:
        answer["Content-Encoding"] = "gzip"
    answer["Vary"] = "Accept-Encoding"
    return answer
