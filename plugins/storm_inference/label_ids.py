"""Token ids of labels as the first token of a model's answer."""

from __future__ import annotations

from collections.abc import Sequence

from storm_exp import InputError, SettingError
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer
from storm_models.chat.template import UnusableChat


def label_ids(
    renderer: ChatRenderer, chat: Conversation, labels: Sequence[str], setting: str
) -> list[int]:
    """Return the id of each label as the first token of an answer to `chat`.

    Raises SettingError, naming `setting`, for a label that is not exactly one token there, and
    InputError for a chat that the template refuses.
    """
    try:
        text = renderer.text(chat, ask=True)
    except UnusableChat as reason:
        raise InputError(f"the model's chat template refuses the prompt: {reason}") from reason
    prompt = renderer.ids(text)
    result: list[int] = []
    for label in labels:
        ids = renderer.ids(text + label)
        extra = len(ids) - len(prompt)
        if extra != 1 or ids[:-1] != prompt:
            problem = f"must be one token after the prompt, not {extra} in this tokenizer"
            if extra == 1:
                problem = "must not merge with the prompt's last token in this tokenizer"
            raise SettingError(setting, label, problem)
        if ids[-1] in result or ids[-1] == renderer.unknown:
            problem = "has the same token as another label, or an unknown one, in this tokenizer"
            raise SettingError(setting, label, problem)
        result.append(ids[-1])
    return result
