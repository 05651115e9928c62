import pytest
import torch
from torch import nn

from fedmodels.training.vocabulary import only_used_rows

USED = torch.tensor([0, 2, 3, 5, 9])


def word_embeddings(model):
    return model.get_input_embeddings().weight


def test_outputs_are_the_same_and_the_embedding_is_small(tiny):
    model = tiny[0]
    ids = torch.tensor([[2, 5, 9, 3]])
    before = model(input_ids=ids).logits
    names = list(model.state_dict())
    with only_used_rows(model, USED):
        assert torch.equal(model(input_ids=ids).logits, before)
        embeddings = [p for name, p in model.named_parameters() if "word_embeddings" in name]
        assert [p.shape for p in embeddings] == [(5, 16)]
    assert list(model.state_dict()) == names
    assert word_embeddings(model).shape == (40, 16)


def test_what_was_trained_is_written_back_and_the_rest_is_untouched(tiny):
    model = tiny[0]
    before = word_embeddings(model).detach().clone()
    with only_used_rows(model, USED):
        model.bert.embeddings.word_embeddings.embedding.weight.data += 1.0
    changed = (word_embeddings(model) != before).any(dim=1).nonzero().flatten()
    assert changed.tolist() == USED.tolist()
    assert torch.equal(word_embeddings(model)[USED], before[USED] + 1.0)


def test_padding_row_gets_no_gradient(tiny):
    model = tiny[0]
    with only_used_rows(model, USED):
        model(input_ids=torch.tensor([[2, 5, 0]]), attention_mask=torch.ones(1, 3)).logits.sum().backward()
        gradient = model.bert.embeddings.word_embeddings.embedding.weight.grad
    assert gradient[3].any()
    assert not gradient[0].any()


def test_an_unused_token_fails_instead_of_training_another_word(tiny):
    with only_used_rows(tiny[0], USED), pytest.raises(IndexError):
        tiny[0](input_ids=torch.tensor([[2, 7, 3]]))


def test_model_is_whole_again_after_an_error(tiny):
    with pytest.raises(ValueError, match="lost"), only_used_rows(tiny[0], USED):
        raise ValueError("lost")
    assert type(tiny[0].get_input_embeddings()) is nn.Embedding


def tie(model):
    model.twin = nn.Linear(16, 40, bias=False)
    model.twin.weight = word_embeddings(model)


def bound_norm(model):
    model.get_input_embeddings().max_norm = 1.0


def freeze(model):
    word_embeddings(model).requires_grad_(False)


@pytest.mark.parametrize("change", [tie, bound_norm, freeze])
def test_embeddings_for_which_it_would_not_be_exact_stay_whole(tiny, change):
    change(tiny[0])
    with only_used_rows(tiny[0], USED):
        assert word_embeddings(tiny[0]).shape == (40, 16)
