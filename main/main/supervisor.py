"""The supervisor of the processes is uvicorn's, with one difference."""

from uvicorn.supervisors import multiprocess


class Process(multiprocess.Process):
    """A process whose end the supervisor notices at once, also while it waits for an answer from it.

    uvicorn's supervisor keeps the process's end of the pipe open itself, so that the pipe never ends: it would wait for
    as long as an answer may take, and replace no other process meanwhile.
    """

    def start(self) -> None:
        super().start()
        self.child_conn.close()
