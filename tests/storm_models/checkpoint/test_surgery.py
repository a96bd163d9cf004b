import pytest
import torch
from safetensors.torch import save_file

from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.surgery import rearrange
from storm_models.families.architecture import EMBEDDING, HEAD
from storm_models.testing import make_checkpoint


def with_head(folder, change):
    """Return a model whose config ties its head, but whose file stores one."""
    model = make_checkpoint(folder, "qwen2", tie_word_embeddings=True)
    tensors = dict(model.tensors())
    tensors[HEAD] = change(tensors[EMBEDDING].clone())
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return Checkpoint(folder)


def test_a_tied_head_that_is_stored_as_well_is_left_out(tmp_path):
    model = with_head(tmp_path / "model", lambda head: head)
    result = rearrange(make_stage(tmp_path), model, [0, 1, 1])
    assert HEAD not in result.headers()
    assert torch.equal(result.tensor(EMBEDDING), model.tensor(EMBEDDING))


@pytest.mark.parametrize(
    "change",
    [lambda head: head.index_fill(0, torch.tensor([3]), 1.0), lambda head: head.float()],
    ids=["values", "dtype"],
)
def test_a_head_that_differs_from_the_embedding_it_is_tied_to_is_refused(tmp_path, change):
    model = with_head(tmp_path / "model", change)
    with pytest.raises(InputError, match=r"ties the head .* another lm_head\.weight"):
        rearrange(make_stage(tmp_path), model, [0, 1, 1])
