"""A separate process that renders chat templates: python sandbox.py, JSON lines in and out.

A template is a program that came with a model. transformers' sandbox keeps it from files and
attributes but limits neither time nor memory: `9**9**9` is computed before any Python line could
check a clock. Templates therefore run here, where the operating system enforces limits.

It imports nothing of this project, so that it starts quickly.
"""

from __future__ import annotations

import datetime
import json
import random
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from transformers.utils.chat_template_utils import render_jinja_template

_LONGEST_TEXT = 1 << 26


def main(seconds: float, gigabytes: float) -> None:
    """Answer each request {template, variables, date, chats} with a list of replies.

    A chat is {messages, tools, ask}; its reply is a text, or {"error": reason}. A rendering that
    computes for more than `seconds` ends the process by a signal.
    """
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + int(gigabytes * (1 << 30))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in sys.stdin:
        request = json.loads(line)
        replies = [_render(request, chat, seconds) for chat in request["chats"]]
        sys.stdout.write(json.dumps(replies) + "\n")
        sys.stdout.flush()


def _render(request: dict[str, Any], chat: dict[str, Any], seconds: float) -> Any:
    date = datetime.datetime.fromisoformat(request["date"])
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        random.seed(0)
        rendered: Any = render_jinja_template(
            conversations=[chat["messages"]],
            tools=chat["tools"],
            chat_template=request["template"],
            add_generation_prompt=chat["ask"],
            date_string=date.strftime("%d %b %Y"),
            strftime_now=date.strftime,
            **request["variables"],
        )
        texts, _ = rendered
        if len(texts[0]) > _LONGEST_TEXT:
            return {"error": f"it writes {len(texts[0])} characters"}
        texts[0].encode()
        return texts[0]
    except MemoryError:
        return {"error": "it takes too much memory"}
    except Exception as error:  # whatever a template may raise
        return {"error": str(error) or type(error).__name__}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
