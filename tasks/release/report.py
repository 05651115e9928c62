"""The report of a release, from its request and everything that can be measured of its model."""

from dataclasses import replace

import numpy as np

from fedmodels.errors import IntegrityError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Plan
from fedmodels.protocol.releases import ReleaseReport, ReleaseRequest
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
    cut = cut_otherwise(champion.plan, kept.plan) if champion else ""
    evidence = replace(_evidence(desk, request, kept, scores, before), champion_cut=cut)
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


def cut_otherwise(before: Plan, plan: Plan) -> str:
    """How the rows of an earlier run were cut otherwise, as clauses; empty when nothing says that they were.

    A party's holdout is split off by the recipe's seed, unless it is a table of its own.
    """
    clauses = []
    if before.recipe.seed != plan.recipe.seed:
        clauses.append(f"seed {before.recipe.seed} and not {plan.recipe.seed}")
    if before.sets and plan.sets and before.sets.get("validation") != plan.sets.get("validation"):
        clauses.append("another validation set")
    return ", ".join(clauses)


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
    )
