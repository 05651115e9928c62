"""The report of a release, from its request and everything that can be measured of its model."""

import numpy as np

from fedmodels.data.pinned import changed_sets
from fedmodels.data.rows import LabelledTexts
from fedmodels.errors import IntegrityError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Plan
from fedmodels.protocol.releases import ReleaseReport, ReleaseRequest
from fedmodels.recipe import DataConfig
from tasks.release.desk import ReleaseDesk
from tasks.release.further import further_checks
from tasks.release.kept import KeptModel, contracts, kept_model, party_scores
from tasks.release.scoring import ModelScores, check_comparable, model_bytes, score_model
from validation.release.evidence import Evidence, slices_of
from validation.release.gate import release_checks


def build_report(desk: ReleaseDesk, request: ReleaseRequest) -> ReleaseReport:
    """Score both models, collect what the parties signed, and make all checks.

    Args:
        desk: the coordinator's store and tables.
        request: of the release.

    Raises:
        RunError: a run, a table or a blob is missing or damaged, or the two models cannot be compared.
    """
    kept = kept_model(desk.store, request.run)
    champion = _champion(desk, request)
    check_comparable(kept, champion)
    scores = score_model(desk, kept)
    before = score_model(desk, champion, compared=True) if champion else None
    evidence = _evidence(desk, request, kept, champion, scores, before)
    recipe = kept.plan.recipe
    generator = np.random.default_rng([recipe.seed, request.release])
    return ReleaseReport(
        recipe=request.recipe,
        release=request.release,
        request_sha256=sha256_hex(canonical_json(request)),
        run=request.run,
        model_sha256=request.model_sha256,
        champion_release=request.champion_release,
        champion_model_sha256=request.champion_model_sha256,
        checks=release_checks(recipe.release, evidence, generator, further_checks(desk, kept)),
        validation=scores.validation,
        champion_validation=before.validation if before else None,
        holdout=scores.holdout,
        approval=recipe.release.approval,
        approval_deadline=recipe.release.approval_deadline,
    )


def cut_otherwise(before: Plan, plan: Plan, validation: LabelledTexts) -> str:
    """What cuts rows and is another in an earlier run, as clauses; empty when nothing is known to be.

    Args:
        before: of the champion's run.
        plan: of the candidate's.
        validation: the rows on which both are scored now.
    """
    clauses = []
    if before.recipe.seed != plan.recipe.seed:
        clauses.append(f"its seed was {before.recipe.seed} and is {plan.recipe.seed}")
    if _sections(before, plan) != _sections(plan, before):
        clauses.append("its section data was another")
    judged = (each.sets for each in (before, plan) if each.sets)
    if any(changed_sets(pinned, {"validation": validation}) for pinned in judged):
        clauses.append("the validation set is another now")
    return ", ".join(clauses)


def _sections(plan: Plan, other: Plan) -> DataConfig:
    """The plan's section `data` with those parties alone that the other plan's has, too."""
    data, both = plan.recipe.data, other.recipe.data.parties
    return data.model_copy(
        update={"parties": {party: own for party, own in data.parties.items() if party in both}}
    )


def _champion(desk: ReleaseDesk, request: ReleaseRequest) -> KeptModel | None:
    """What the candidate is held against. A fault of its run is none of the candidate's."""
    if request.champion_run is None:
        return None
    try:
        return kept_model(desk.store, request.champion_run)
    except IntegrityError as error:
        if error.code != "chain-broken":
            raise
        raise IntegrityError(
            f"The champion of {request.recipe}, release {request.champion_release}, cannot be compared with: "
            + error.sentence[0].lower()
            + error.sentence[1:],
            fix=f"restore what its run lacks, or run fedcart release rollback {request.recipe} --to RELEASE",
            code="champion-chain-broken",
        ) from None


def _evidence(
    desk: ReleaseDesk,
    request: ReleaseRequest,
    kept: KeptModel,
    champion: KeptModel | None,
    scores: ModelScores,
    before: ModelScores | None,
) -> Evidence:
    validation = desk.own_set(request.recipe, "validation")
    return Evidence(
        candidate=scores.rows,
        champion=before.rows if before else None,
        champion_release=request.champion_release,
        parties=party_scores(desk.store, kept, request.champion_model_sha256),
        contracts=contracts(desk.store, kept),
        model_bytes=model_bytes(desk.store, kept.sha256),
        latency_ms=scores.latency_ms,
        slices=slices_of(validation.labels, [len(text) for text in validation.texts]),
        holdout=scores.holdout,
        champion_cut=cut_otherwise(champion.plan, kept.plan, validation) if champion else "",
    )
