"""Who may call a view. Every view needs a token, unless it is marked as public here."""

from collections.abc import Callable
from typing import Any, TypeVar

from rest_framework.permissions import AllowAny

View = TypeVar("View", bound=Any)


def public(view: View) -> View:
    """Let everybody call the view, a class or a function. The middleware and the documentation read this mark."""
    view.is_public = True
    view.permission_classes = [AllowAny]
    return view


def is_public(view: Callable[..., object]) -> bool:
    """Whether everybody may call the view: a class, a function, or what `as_view` made of a class."""
    return getattr(view, "is_public", False) or getattr(getattr(view, "view_class", None), "is_public", False)
