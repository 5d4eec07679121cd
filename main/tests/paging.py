"""Lists in pages, followed as a client does."""

import re

MAX_PAGES = 100


def pages(client, url):
    """The pages from the URL on, where each links to the next; fails where that never ends."""
    for _ in range(MAX_PAGES):
        answer = client.get(url)
        assert answer.status_code == 200, answer.content
        yield answer.json()
        if "Link" not in answer:
            return
        url = re.fullmatch('<(http://testserver/.+)>; rel="next"', answer["Link"])[1]
    raise AssertionError(f"There are more than {MAX_PAGES} pages.")
