"""`fedcart release approve | reject`: a person's word on a release."""

from flows.cli.champion import (
    ByOption,
    CommentOption,
    documenting,
    hear_first,
    pass_on_answer,
    promote_and_follow,
    tell_champion,
    who,
)
from flows.cli.output import JsonFlag, RecipeArgument, ReleaseArgument, print_json, say


def approve(
    recipe: RecipeArgument,
    release: ReleaseArgument,
    comment: CommentOption = "",
    by: ByOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Approve a release whose recipe asks a person, and make it the champion.

    Once, and before the deadline. The form in Prefect's page does the same, and is answered by this, too.
    """
    from fedmodels.identifiers import check_identifier
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.answering import approve as approve_release
    from tasks.release.withdrawn import refuse_withdrawn

    name, settings = by or who(), load_settings()
    with open_named_store(settings) as store:
        documenting(store, settings)  # without the keys the word would stand, and nothing be promoted
        hear_first(store, settings)
        refuse_withdrawn(store, check_identifier("recipe", recipe), release)  # before the word, as well
        approve_release(store, recipe, release, name, comment)
        try:
            champion = promote_and_follow(store, settings, recipe, release, name)
        finally:  # only now: a flow run that promotes at the same moment would win the race
            pass_on_answer(store, recipe, release, settings)
    tell_champion(champion, as_json=as_json)


def reject(
    recipe: RecipeArgument,
    release: ReleaseArgument,
    comment: CommentOption = "",
    by: ByOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Reject a release whose recipe asks a person; the champion stays."""
    from fedmodels.identifiers import check_identifier
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.answering import reject as reject_release

    settings = load_settings()
    with open_named_store(settings) as store:
        word = reject_release(store, check_identifier("recipe", recipe), release, by or who(), comment)
        pass_on_answer(store, recipe, release, settings)
    if as_json:
        print_json(word.model_dump(mode="json"))
    else:
        say(f"Release {release} of {recipe} is rejected by {word.by}; the champion stays.")
