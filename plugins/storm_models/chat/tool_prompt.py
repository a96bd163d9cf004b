"""The system prompts for function calling with which Llama-3.1-Storm was trained and evaluated.

The model depends on their exact words: the model card's (https://huggingface.co/akjindal53244/
Llama-3.1-Storm-8B, "Prompt Format for Function Calling"), and that of the authors' handler for the
Berkeley leaderboard, which has guidelines for missing tools and arguments.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from storm_models.chat.tool_calls import CLOSE, OPEN, CallSpelling

_ROLE = (
    "You are a function calling AI model. You may call one or more functions to assist with the "
    "user query. Don't make assumptions about what values to plug into function. The user may use "
    "the terms function calling or tool use interchangeably."
)
_TOOLS = "Here are the available functions:\n<tools>{tools}</tools>"
_CALLS = (
    "For each function call return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags in the format:\n{call}"
)
_GUIDELINES = (
    "Follow the below guidelines:\n"
    "1. If any tool needed to answer the query is not available, you must return an empty list "
    '"[]" as response.\n'
    "2. Else if query does not provide any must-have argument of a required tool, you must return "
    'an empty list "[]" as response.\n'
    "3. Else, for each function call you must return a json object in response with function name "
    "and arguments within <tool_call></tool_call> XML tags in the format:\n{call}"
)


def tool_prompt(
    functions: Sequence[dict[str, Any]],
    *,
    guidelines: bool = False,
    spelling: CallSpelling = CallSpelling.json,
) -> str:
    """Return the system prompt for functions ({name, description, parameters}).

    With `guidelines`, it asks for an empty list if no function is suitable or a required argument
    is missing. `spelling` sets the keys of a call; in the original prompts they are `tool_name` and
    `tool_arguments`.
    """
    name, arguments = spelling.names
    call = f'{OPEN}{{"{name}": <function-name>, "{arguments}": <args-dict>}}{CLOSE}'
    tools = _TOOLS.format(tools=json.dumps(list(functions), ensure_ascii=False))
    return "\n\n".join([_ROLE, tools, (_GUIDELINES if guidelines else _CALLS).format(call=call)])
