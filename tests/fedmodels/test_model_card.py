"""The model card: the hub's own reader takes it, and what others wrote stays text."""

from huggingface_hub import ModelCard

from fedmodels.model_card import model_card
from fedmodels.protocol.lineage import DriftAnswered
from fedmodels.protocol.messages import PinnedData
from fedmodels.protocol.releases import Approval
from tests.fedmodels.protocol.builders import BASE, scores
from tests.fedmodels.protocol.test_lineage import ELSEWHERE, REPORT, lineage, receipt, retraining

FULL = REPORT.model_copy(update={"holdout": scores(0.86), "validation": scores(0.85)})


def test_the_hub_reads_its_header():
    card = ModelCard(model_card(lineage(receipt("a", 1, "h" * 64, 10)), FULL))
    assert card.data.pipeline_tag == "text-classification"
    results = {(each.dataset_type, each.metric_type): each.metric_value for each in card.data.eval_results}
    assert results == {
        ("tiny-holdout", "accuracy"): 0.86,
        ("tiny-holdout", "f1"): 0.86,
        ("tiny-validation", "accuracy"): 0.85,
        ("tiny-validation", "f1"): 0.85,
    }


def test_a_model_without_scores_has_a_card_too():
    assert ModelCard(model_card(lineage(), REPORT)).data.eval_results is None


def test_it_names_data_rounds_environment_and_what_this_mode_does_not_protect():
    pinned = {"version": PinnedData(keyed_hash="cd" * 32)}
    told = [
        receipt("a", 1, "ab" * 32, 10, ELSEWHERE).model_copy(update=pinned),
        receipt("b", 1, "ef" * 32, 12),
    ]
    text = model_card(lineage(*told), FULL)
    assert "| a | cdcdcdcdcdcd | abababababab | 10 | 2 | holds | 1 |" in text
    assert "| b | not stated | efefefefefef | 12 | 2 | holds | 1 |" in text
    assert "AVX512, 2 threads" in text and "AVX2, 1 thread" in text
    assert "which is not privacy" in text
    assert f"`{BASE}`" in text


def test_what_others_wrote_stays_text():
    said = Approval(recipe="tiny", release=1, report_sha256=BASE, decision="approve", by="<b>ann</b> | x")
    drift = DriftAnswered(number=1, parties=("a",), notices=(), reason="drift at a: ![x](http://x)")
    text = model_card(lineage().model_copy(update={"approval": said, "drift": drift}), REPORT)
    assert "<b>" not in text and "](http" not in text


def test_a_withdrawal_that_was_answered_is_named_as_one():
    answer = retraining(
        parties=("a", "b"),
        withdrawals=("coordinator/withdrawals/tiny/a/0001.json", "coordinator/withdrawals/tiny/b/0003.json"),
        without=("b",),
        reason="withdrawal: a withdrew rows, b left",
    )
    text = model_card(lineage(begun_by=answer), REPORT)
    told = "a withdrew rows, b left (notices a/0001, b/0003); trained without b"
    (line,) = [line for line in text.splitlines() if line.startswith("| withdrawal that was answered")]
    assert line.replace("\\", "") == f"| withdrawal that was answered | {told} |"
    assert "| drift that was answered | none |" in text
    assert "withdrawal that was answered" not in model_card(lineage(), REPORT)
