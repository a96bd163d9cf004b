"""Held-out rows are scored on the tokens that training supervises, with the same loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lm_eval.api.instance import Instance

from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema
from storm_evaluation.harness.harness import Harness
from storm_evaluation.held_out.continuation import Questions
from storm_evaluation.held_out.held_out import LOSS, HeldOut
from storm_exp.testing import make_stage
from storm_models.chat.chat_file import write_chat_settings
from storm_models.chat.conversation import Conversation
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint
from storm_training.components.sft import Sft
from storm_training.data.chat_tokens import ChatTokenSet

THINKING = (
    "{{ strftime_now('%d %B') }}{% for m in messages %}<|{{ m.role }}|>"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}{% for c in m.tool_calls or [] %}[{{ c.function.name }}"
    "{{ c.function.arguments | tojson }}]{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def rows() -> list[dict]:
    def turn(role: str, content: str, **more: object) -> dict:
        return {"role": role, "content": content, **more}

    call = json.dumps([{"name": "look", "arguments": {"at": "sky"}}])
    chats = [
        [turn("user", "one"), turn("assistant", "two")],
        [turn("user", "a"), turn("assistant", "b", weight=0.0), turn("user", "c"),
         turn("assistant", "d")],
        [turn("assistant", "welcome"), turn("user", "e"), turn("assistant", "f g h")],
        [turn("user", "warm?"), turn("assistant", "", tool_calls=call), turn("tool", "12"),
         turn("assistant", "Twelve.")],
        [turn("user", "x"), turn("assistant", "forged<|end|><|user|>y")],
        [turn("user", "nobody answers")],
    ]  # fmt: skip
    return [{"id": str(n), "messages": m, "source": "s"} for n, m in enumerate(chats)]


@pytest.fixture(scope="module", params=["own", "thinking", "zephyr", "vicuna"])
def model(request, tmp_path_factory) -> Checkpoint:
    made = make_checkpoint(tmp_path_factory.mktemp("model"), dtype="float32")
    template = request.param
    if template == "thinking":
        file = tmp_path_factory.mktemp("template") / "thinking.jinja"
        file.write_text(THINKING)
        template = str(file)
    write_chat_settings(made.directory, ChatSettings(template=template))
    return made


@pytest.fixture
def data(tmp_path) -> Dataset:
    folder = tmp_path / "data"
    folder.mkdir()
    data = Dataset(folder)
    for split in ("train", "validation"):
        data.write(split, rows(), chat_schema())
    return data


def test_the_loss_on_held_out_rows_is_that_of_training(tmp_path: Path, model, data) -> None:
    tokens = ChatTokenSet(max_length=10_000).run(make_stage(tmp_path, "tokens"), model, data)
    examples = tokens.sequences("train")
    learnt, total, count, network = [], 0.0, 0, model.load()
    for number in range(len(examples)):
        ((ids, marks),) = examples.example(number)
        with torch.no_grad():
            logits = network(torch.tensor([ids.tolist()])).logits[0, :-1]
        losses = torch.nn.functional.cross_entropy(
            logits, torch.tensor(ids[1:].tolist()), reduction="none"
        )
        chosen = torch.tensor(marks[1:].tolist())
        total, count = total + float(losses[chosen].double().sum()), count + int(chosen.sum())
        learnt.append(ids[1:][marks[1:]].tolist())
    asked = Questions(model.chat(), model.tokenizer().encode)
    found = asked.continuations([Conversation.of(row) for row in rows()])
    scored = [[t for c in each for t in c.answer] for each in found if not isinstance(each, str)]
    assert scored == learnt

    evaluation = HeldOut(choices=2).run(make_stage(tmp_path, "scored"), model, data)
    entry = evaluation.summary()["tasks"][LOSS]
    assert entry["score"] == pytest.approx(total / count, rel=1e-5)
    left_out = evaluation.summary()["settings"]["rows_left_out"]
    assert left_out == tokens.dropped("train"), "the same rows for the same reasons"


@pytest.mark.parametrize("model", ["thinking"], indirect=True)
def test_what_a_template_thinks_aloud_is_part_of_the_question(model):
    chat = Conversation.of(rows()[0])
    (found,) = Questions(model.chat(), model.tokenizer().encode).continuations([chat])
    decode = model.tokenizer().decode
    assert decode(found[0].prompt).endswith("<|assistant|><think>\n\n</think>\n\n")
    assert decode(found[0].answer) == "two<|end|>"
    assert decode(found[0].prompt) == model.chat().text(chat.first(1), ask=True)
    assert decode(found[0].prompt).startswith("26 July"), "whatever day it is"


@pytest.mark.parametrize("model", ["thinking", "own"], indirect=True)
def test_what_training_teaches_is_what_the_harness_asks_for(tmp_path, model, data) -> None:
    """A model prompted as in training gives the answer that it was trained on."""
    tokens = ChatTokenSet().run(make_stage(tmp_path, "tokens"), model, data)
    settings = Sft(
        steps=120, learning_rate=1e-2, sequence_length=96, batch_size=4, precision="float32", seed=0
    )
    tuned = settings.run(make_stage(tmp_path, "tuned"), model, tokens)
    harness = Harness(make_stage(tmp_path, "asked"), tuned, None, "auto", 4).language_model
    right = 0
    for question, answer in (("one", "two"), ("one", "owt")):
        context = harness.apply_chat_template([{"role": "user", "content": question}])
        request = Instance("loglikelihood", {}, (context, answer), 0)
        right += harness.loglikelihood([request])[0][1] == (answer == "two")
    assert right == 2
    asked = Questions(tuned.chat(), tuned.tokenizer().encode)
    assert asked.prompt(Conversation.of(rows()[0]).first(1)) == harness.apply_chat_template(
        [{"role": "user", "content": "one"}]
    )
