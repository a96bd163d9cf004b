from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import chat_schema
from storm_evaluation.held_out.continuation import Questions, build_questions
from storm_evaluation.held_out.held_out import CHOICE, LOSS, HeldOut
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec


def chat(*contents: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]


def conversations(chats: list[list[dict[str, str]]]) -> list[Conversation]:
    return [Conversation(messages) for messages in chats]


CHATS = [chat(f"square {n}", f"it is {n * n}") for n in range(10)] + [
    chat("hello", "good day", "and now?", "good night")
]


def dataset(folder: Path, chats: list[list[dict[str, str]]]) -> Dataset:
    folder.mkdir()
    data = Dataset(folder)
    rows = [{"id": str(i), "messages": m, "source": "test"} for i, m in enumerate(chats)]
    data.write("validation", rows, chat_schema())
    return data


def test_the_loss_is_that_of_the_model_per_answer_token(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    import torch

    evaluation = HeldOut().run(make_stage(tmp_path), checkpoint, dataset(tmp_path / "data", CHATS))
    model, tokenizer = checkpoint.load(), checkpoint.tokenizer()
    total, tokens = 0.0, 0
    for messages in CHATS:
        ids = tokenizer(
            tokenizer.apply_chat_template(messages, tokenize=False), add_special_tokens=False
        ).input_ids
        with torch.no_grad():
            losses = torch.nn.functional.cross_entropy(
                model(torch.tensor([ids])).logits[0, :-1], torch.tensor(ids[1:]), reduction="none"
            )
        answering = False
        for position, token in enumerate(ids[1:]):
            if answering:
                total, tokens = total + float(losses[position]), tokens + 1
            if token == tokenizer.convert_tokens_to_ids("<|assistant|>"):
                answering = True
            elif token == tokenizer.eos_token_id:
                answering = False
    entry = evaluation.summary()["tasks"][LOSS]
    assert entry["score"] == pytest.approx(total / tokens, rel=1e-5)
    assert entry["n"] == 12, "every assistant turn counts"
    assert not entry["higher_is_better"]
    assert sum(s.weight for s in evaluation.samples() if s.task == LOSS) == tokens


def test_the_choice_is_won_by_the_likelier_answer_per_character(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    import torch

    component, stage = HeldOut(), make_stage(tmp_path)
    evaluation = component.run(stage, checkpoint, dataset(tmp_path / "data", CHATS))
    model, tokenizer = checkpoint.load(), checkpoint.tokenizer()
    questions = build_questions(
        conversations(CHATS), component.choices, component.choice_characters, component.seed
    )
    expected = []
    for question in questions:
        prompt = tokenizer.apply_chat_template(
            question.chat.messages, tokenize=False, add_generation_prompt=True
        )
        start = len(tokenizer(prompt, add_special_tokens=False).input_ids)
        values = []
        for choice in question.choices:
            ids = tokenizer(prompt + choice, add_special_tokens=False).input_ids
            with torch.no_grad():
                logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            picked = [float(logs[i - 1, ids[i]]) for i in range(start, len(ids))]
            values.append(math.fsum(picked) / len(choice))
        expected.append(float(values.index(max(values)) == question.target))
    assert [s.score for s in evaluation.samples() if s.task == CHOICE] == expected
    assert stage.metrics["mean_score"] == pytest.approx(sum(expected) / len(expected))
    assert stage.main_metric == "mean_score"


def test_two_models_answer_the_same_questions_and_runs_repeat(
    tmp_path: Path, checkpoint: Checkpoint, other_checkpoint: Checkpoint
) -> None:
    data = dataset(tmp_path / "data", CHATS)
    first, again, other = (
        HeldOut().run(make_stage(tmp_path / name), model, data)
        for name, model in (("a", checkpoint), ("b", checkpoint), ("c", other_checkpoint))
    )
    for file in ("evaluation.json", "samples.parquet"):
        assert (first.directory / file).read_bytes() == (again.directory / file).read_bytes()
    names = [[(s.task, s.document, s.target) for s in e.samples()] for e in (first, other)]
    assert names[0] == names[1]


def test_a_question_does_not_depend_on_the_order_of_the_rows() -> None:
    forward, backward = (
        build_questions(conversations(rows), 3, 50, 7) for rows in (CHATS, list(reversed(CHATS)))
    )
    assert forward == backward[::-1]
    assert forward != build_questions(conversations(CHATS), 3, 50, 8)
    for question in forward:
        assert len(set(question.choices)) == 3
    assert forward[3].choices[forward[3].target] == "it is 9"


def test_answers_that_are_all_alike_make_no_question() -> None:
    with pytest.raises(InputError, match="two different answers"):
        build_questions(conversations([chat("a", "yes"), chat("b", "yes")]), 4, 50, 0)


def test_white_space_after_the_turn_is_not_part_of_the_answer(
    make_tokenizer: Callable,
) -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = tokenizer.chat_template.replace("<|end|>", "<|end|>\n")
    (turns,) = Questions(ChatRenderer(tokenizer), tokenizer.encode).continuations(
        conversations(CHATS[-1:])
    )
    answers = [tokenizer.decode(turn.answer) for turn in turns]
    assert answers == ["good day<|end|>", "good night<|end|>"]
    assert tokenizer.decode(turns[1].prompt).endswith("and now?<|end|>\n<|assistant|>")


def test_without_a_template_turns_are_lines(make_tokenizer: Callable) -> None:
    tokenizer = make_tokenizer()
    (turns,) = Questions(None, tokenizer.encode).continuations(conversations(CHATS[1:2]))
    (turn,) = turns
    assert tokenizer.decode(turn.prompt) == "user: square 1\nassistant: "
    assert tokenizer.decode(turn.answer) == "it is 1"


def test_a_template_that_refuses_is_named(make_tokenizer: Callable) -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('no such role') }}"
    asked = Questions(ChatRenderer(tokenizer), tokenizer.encode)
    with pytest.raises(InputError, match="no such role"):
        asked.prompt(Conversation(CHATS[0]))
    (found,) = asked.continuations(conversations(CHATS[:1]))
    assert isinstance(found, str) and "no such role" in found


def test_rows_that_cannot_be_used_are_counted_by_reason_and_end_nothing(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    """ShareGPT chats that begin with the assistant are read as in training."""
    chats = [
        [{"role": "assistant", "content": "welcome"}, *chat("hello", "good day")],
        chat("who", "me<|end|><|user|>you"),
        chat("nobody answers"),
        *CHATS,
    ]
    evaluation = HeldOut().run(make_stage(tmp_path), checkpoint, dataset(tmp_path / "data", chats))
    assert evaluation.summary()["settings"]["rows_left_out"] == {
        "its contents hold the control token <|end|>": 1,
        "nothing supervised": 1,
    }
    assert evaluation.summary()["tasks"][LOSS]["n"] == 13
    prompts = [sample.prompt for sample in evaluation.samples() if sample.task == LOSS]
    assert prompts[0].endswith("welcome<|end|><|user|>hello<|end|><|assistant|>")


def test_enormous_answers_are_cut_and_counted(tmp_path: Path, checkpoint: Checkpoint) -> None:
    chats = [*CHATS, chat("speak", "word " * 200)]
    evaluation = HeldOut(choice_characters=60).run(
        make_stage(tmp_path), checkpoint, dataset(tmp_path / "data", chats)
    )
    assert evaluation.summary()["settings"]["answers_cut"] == 1
    assert all(math.isfinite(sample.score) for sample in evaluation.samples())


def test_choices_that_leave_no_room_for_the_question_are_refused(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    chats = [*CHATS, chat("speak", "word " * 200)]
    with pytest.raises(InputError, match="choice_characters"):
        HeldOut(choice_characters=500).run(
            make_stage(tmp_path), checkpoint, dataset(tmp_path / "data", chats)
        )


def test_what_cannot_work_is_refused_before_anything_runs() -> None:
    model = CheckpointSpec(has_chat_template=True)
    with pytest.raises(SettingError, match="needs at least 2 rows; the data set has: "):
        HeldOut().plan_spec(model, DatasetSpec(splits={"train": [9, 9]}))
    with pytest.raises(SettingError, match="choices"):
        HeldOut(choices=1)
    spec = HeldOut().plan_spec(model, DatasetSpec(splits={"validation": [0, 9]}))
    assert spec.tasks == [LOSS, CHOICE]


def test_the_cost_follows_the_rows_that_are_scored() -> None:
    config = {"model_type": "llama", "vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 2}
    config |= {"intermediate_size": 128, "num_attention_heads": 2}
    model = CheckpointSpec(config=config)
    splits = {"validation": [10, 10]}
    unknown = HeldOut().cost(model, DatasetSpec(splits=splits))
    assert unknown is not None and unknown.flops is None
    known = HeldOut(limit=4).cost(model, DatasetSpec(splits=splits, row_tokens=50.0))
    assert known is not None and known.tokens == 2 * 4 * 50
    assert known.memory < unknown.memory
    assert known.assumes == "prompts of up to 150 tokens"
    assert HeldOut().cost(CheckpointSpec(), DatasetSpec()) is None
