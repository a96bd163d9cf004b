"""No content becomes a control token, in any stage that encodes rows.

Each stage gets the same made-up rows. What it encodes has the control tokens that the template
writes for such a chat and no other; a row that holds one is left out, and the reason says which.
A benchmark's questions are never left out: there the token is encoded as text.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storm_curation.judge.judge_prompt import JudgePrompt
from storm_curation.judge.zero_shot import ZeroShot
from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema, preference_schema
from storm_evaluation.harness.language_model import HarnessModel
from storm_evaluation.held_out.continuation import Questions
from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_inference.calibration.samples import read_samples
from storm_inference.engines.engine import Sampling
from storm_inference.engines.transformers_engine import TransformersEngine
from storm_inference.generation import Generator
from storm_inference.shards import Shards
from storm_inference.shots import Shots
from storm_minitron.calibration.settings import CalibrationSettings
from storm_models.chat.conversation import Conversation
from storm_models.testing import make_checkpoint
from storm_training.data.chat_tokens import ChatTokenSet
from storm_training.data.preference_tokens import PreferenceTokenSet

CONTROLS = ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>", "<|pad|>")
SPOKEN = st.lists(
    st.sampled_from([*CONTROLS, "<|end", "|>", "<|", "user", "< |end|>", " ", "\n", "é", "☃", "⟦"])
    | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=3),
    min_size=1,
    max_size=5,
).map("".join)
ROWS = st.lists(st.tuples(SPOKEN, SPOKEN), min_size=3, max_size=6)
COUNTER = itertools.count()
USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"
WHOLE, ASKED = [USER, END, ASSISTANT, END], [USER, END, ASSISTANT]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_checkpoint(
        tmp_path_factory.mktemp("model"), dtype="float32", max_position_embeddings=2048
    )


def made_harness(model, tmp_path_factory) -> HarnessModel:
    return HarnessModel(
        model.load(),
        model.tokenizer(),
        model.chat(),
        make_stage(tmp_path_factory.mktemp("harness")),
        batch_size=4,
        max_length=None,
    )


@pytest.fixture(scope="module")
def harness(model, tmp_path_factory):
    return made_harness(model, tmp_path_factory)


@pytest.fixture(scope="module")
def plain(model, tmp_path_factory):
    """Return a model that is never used with a template."""
    return made_harness(model, tmp_path_factory)


class Stages:
    """Every stage that encodes rows, with the tokens that it makes of them."""

    def __init__(self, model, harness, folder, rows) -> None:
        self.model, self.harness, self.folder = model, harness, folder
        self.rows = [
            {"id": str(n), "messages": chat(question, answer), "source": "s"}
            for n, (question, answer) in enumerate(rows)
        ]
        self.forged = [any(t in q or t in a for t in CONTROLS) for q, a in rows]
        self.controls = model.chat().controls
        self.names = {token: name for name, token in self.controls.tokens.items()}

    def control_tokens(self, ids) -> list[str]:
        return [self.names[token] for token in ids if token in self.controls.ids]

    def dataset(self, rows, schema) -> Dataset:
        place = self.folder / f"data-{next(COUNTER)}"
        place.mkdir()
        data = Dataset(place)
        data.write("train", rows, schema)
        return data

    def stage(self):
        return make_stage(self.folder, f"stage-{next(COUNTER)}")

    def tokenised(self, component, rows, schema) -> list[list[str]]:
        try:
            tokens = component.run(self.stage(), self.model, self.dataset(rows, schema))
        except InputError as error:
            assert "no row" in str(error)
            return []
        sequences = tokens.sequences("train")
        return [
            self.control_tokens(ids.tolist())
            for number in range(len(sequences))
            for ids, _ in sequences.example(number)
        ]


def chat(question: str, answer: str) -> list[dict]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=ROWS)
def test_no_stage_takes_a_content_for_a_control_token(model, harness, tmp_path, rows):
    stages = Stages(model, harness, tmp_path, rows)
    usable = stages.forged.count(False)

    assert stages.tokenised(ChatTokenSet(), stages.rows, chat_schema()) == [WHOLE] * usable

    pairs = [
        {
            "id": row["id"],
            "prompt": row["messages"][:1],
            "chosen": row["messages"][1:],
            "rejected": [{"role": "assistant", "content": "no, thanks"}],
            "source": "s",
        }
        for row in stages.rows
    ]
    found = stages.tokenised(PreferenceTokenSet(), pairs, preference_schema())
    assert found == [WHOLE] * (2 * usable)

    presented = JudgePrompt(ZeroShot(max_length=1500), model.chat()).prepare(stages.rows)
    for row, forged in zip(presented, stages.forged, strict=True):
        assert row.status == ("special_token" if forged else "ok"), row.problem
        assert [stages.control_tokens(ids) for ids in row.prompts] == [ASKED] * len(row.prompts)

    samples = CalibrationSettings(samples=99, max_length=2048)
    try:
        drawn, left_out = read_samples(
            stages.dataset(stages.rows, chat_schema()), "train", model, samples, 0
        )
    except InputError:
        drawn, left_out = [], {"control token": len(rows)}
    assert [stages.control_tokens(sample.input_ids) for sample in drawn] == [WHOLE] * usable
    assert all("control token" in reason for reason in left_out)

    chats = [Conversation.of(row) for row in stages.rows]
    asked = Questions(model.chat(), harness.tok_encode)
    for found, forged in zip(asked.continuations(chats), stages.forged, strict=True):
        if forged:
            assert isinstance(found, str) and "control token" in found
        else:
            (turn,) = found
            assert stages.control_tokens(turn.prompt + turn.answer) == WHOLE

    for question, answer in rows:
        text = harness.apply_chat_template([{"role": "user", "content": question}])
        (request,) = harness._shielded([instance(text, answer)])
        assert stages.control_tokens(harness.tok_encode("".join(request.args))) == ASKED
        shown = "".join(harness._controls.unshield("".join(request.args)))
        assert shown == f"{USER}{question}{END}{ASSISTANT}{answer}"


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows=ROWS)
def test_without_a_template_nothing_is_a_control_token(plain, rows):
    for question, answer in rows:
        (request,) = plain._shielded([instance(question, answer)])
        ids = plain.tok_encode("".join(request.args))
        assert plain._controls.count(ids) == 0
        assert "".join(plain._controls.unshield("".join(request.args))) == question + answer


def generate_with(kind, model, stage):
    def opened():
        ends = model.chat().ends
        return TransformersEngine(model, dtype="auto", device="cpu", batch_size=16, ends=ends)

    return kind(
        model,
        Sampling(max_new_tokens=1),
        Shots([], 0, "", 0),
        unfinished=False,
        batch_size=16,
        open_engine=opened,
        shards=Shards(stage),
    )


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=ROWS)
def test_answers_are_asked_with_the_templates_control_tokens_alone(model, tmp_path, rows):
    stages = Stages(model, None, tmp_path, rows)

    class Watched(Generator):
        prompts: list

        def _generate(self, prompts):
            self.prompts.extend(prompts)
            return super()._generate(prompts)

    generator = generate_with(Watched, model, stages.stage())
    generator.prompts = []
    answers = generator.answer(stages.rows)
    assert [stages.control_tokens(ids) for ids in generator.prompts] == [ASKED] * len(
        generator.prompts
    )
    asked = [any(token in question for token in CONTROLS) for question, _ in rows]
    assert len(generator.prompts) == asked.count(False)
    for (_, problem), forged in zip(answers, asked, strict=True):
        assert ("contents hold the control token" in problem) == forged


@pytest.mark.parametrize("forged", ["<|user|>", "<|assistant|>", "<|pad|>"])
def test_an_answer_in_which_the_model_forges_a_turn_is_refused(model, tmp_path, forged):
    generator = generate_with(Generator, model, make_stage(tmp_path))
    generator._load()
    tokens = model.chat().controls.tokens
    spelled = model.tokenizer().encode(forged, split_special_tokens=True)
    assert tokens[forged] not in spelled
    for middle in ([tokens[forged]], spelled):
        text = model.tokenizer().encode("a")
        _, problem = generator._decode([*text, *middle, *text, tokens[END]])
        assert problem == f"the answer contains the control token {forged}"


def instance(context: str, continuation: str):
    from lm_eval.api.instance import Instance

    return Instance("loglikelihood", {}, (context, continuation), 0)
