"""Makes an export, in a thread of its own."""

import time

from common.transactions import snapshot
from delivery.tokens import find_dead
from export.files import GrowingFile, UnwantedError
from export.parts import parts_of, pieces_of
from users.models import User

# Bytes that are written to the file at a time, at least.
PIECE = 64 * 1024
# For how much of the time the thread works, what it waits for not counted. While it works, requests of this process
# wait for the interpreter.
SHARE = 0.5


class DeadTokenError(Exception):
    """The token has died since the request began."""


def make(user_id: int, token_id: int, file: GrowingFile) -> None:
    """Write the user's export to the file, as of one moment at which the token is alive, and finish the file."""
    if file.is_closed:  # the client left before its turn came
        return
    try:
        with snapshot():
            if find_dead({token_id: user_id}):
                raise DeadTokenError
            write(User.objects.get(pk=user_id), file)
    except UnwantedError:
        pass
    except Exception as error:
        file.finish(error)
    else:
        file.finish()


def write(user: User, file: GrowingFile) -> None:
    collected: list[bytes] = []
    size, began = 0, time.thread_time()
    for piece in pieces_of(parts_of(user)):
        collected.append(piece)
        size += len(piece)
        if size >= PIECE:
            file.write(b"".join(collected))
            time.sleep((time.thread_time() - began) * (1 / SHARE - 1))
            collected, size, began = [], 0, time.thread_time()
    file.write(b"".join(collected))
