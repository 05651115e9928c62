"""Places and secrets: where this process finds its store, keys and tables.

Read from `FEDCART_*` variables first, then from the TOML file that `FEDCART_CONFIG` names (default
`fedcart.toml`). One file per role: on one machine the coordinator and each party have their own, and a
process reads only that of its role. What a training computes is in its recipe, never here.
"""

import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, WithJsonSchema, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from fedmodels.document_faults import Location, describe_faults, fault_of_place
from fedmodels.errors import InputError
from fedmodels.identifiers import Identifier
from infra.locations import role_folder, role_settings
from infra.settings_file import parsed_settings

PREFIX = "FEDCART_"
CONFIG_VARIABLE = "FEDCART_CONFIG"


class Tables(BaseModel):
    """Paths of one role's own tables for one recipe. A party has `train`; the coordinator the sets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Path | None = None
    holdout: Path | None = None
    fresh: Path | None = Field(
        None, description="rows that came in since: watched for drift, and learned from by the next run"
    )
    public: Path | None = None
    validation: Path | None = None
    table: Path | None = None
    expectations: Path | None = Field(
        None, description="YAML file of what a party expects of its own tables, beyond the recipe"
    )


class PartyPolicy(BaseModel):
    """What a party agrees to, whatever a coordinator proposes: the table `[policy]` of its settings.

    Every bound is off until it is set. A plan that breaks one makes the party refuse the whole run, with
    the code `policy-forbids`; `allow_evaluation` alone refuses no run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipes: tuple[str, ...] = Field((), description="names of recipes that it trains; empty: any")
    use_cases: tuple[str, ...] = Field((), description="use cases that it trains for; empty: any")
    max_rounds: int | None = Field(
        None, ge=1, description="most rounds of a run, num_rounds and max_failed_rounds together"
    )
    max_local_epochs: int | None = Field(None, ge=0, description="largest local.epochs")
    require_clipping_norm: float | None = Field(
        None, gt=0.0, description="update.clipping_norm must be set, and be no larger"
    )
    allow_text_pattern: bool = Field(
        True,
        description="takes a contract that holds a regular expression: its verdict says of the texts"
        " whether they match",
    )
    allow_evaluation: bool = Field(
        True, description="scores candidates on its holdout; if not, it abstains from that"
    )
    tell_environment: bool = Field(
        True,
        description="states in its receipts what it trained on: commit, versions, processor; a model is made"
        " again only where that is known",
    )
    pin_data: bool = Field(
        True, description="keeps a version of the tables that it trains on, in its own DVC repository"
    )
    tell_data_version: tuple[Literal["hash", "rows", "schema"], ...] = Field(
        ("hash",),
        description="what its receipts say of that version: its keyed hash, rows by table, names and types"
        " of columns; empty: nothing",
    )
    repeat_on_versions: bool = Field(
        True,
        description="trains a run that repeats an earlier one on the version of its tables that it kept of"
        " that; if not, on those of today",
    )
    tell_withdrawn: bool = Field(
        False,
        description="counts rows that their owners took back, in receipts and in notices of withdrawal",
    )
    drift_features: tuple[str, ...] | None = Field(
        None,
        description="features that its drift notices may speak of; empty: it leaves no notice; not set: any",
    )


class DataVersions(BaseModel):
    """Where a party's data versions are pushed to: the table `[versions]` of its settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    remote: str | None = Field(
        None, description="URL of a DVC remote; not set: the party's own prefix of the bucket"
    )
    options: dict[str, SecretStr] = Field(
        {}, description="further options of that remote, as DVC calls them: endpointurl, profile, ..."
    )


class Schedules(BaseModel):
    """When the deployments of `fedcart deploy` run: cron expressions in UTC, or `off`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: str = Field("0 2 * * *", description="a training of the recipe")
    release: str = Field("*/15 * * * *", description="a look for a finished run that was not released yet")
    drift: str = Field("0 * * * *", description="each party's look for drift")
    drift_watch: str = Field("* * * * *", description="the coordinator's look for notices of drift")
    housekeeping: str = Field(
        "30 * * * *", description="rejecting what nobody approved in time, and sweeping"
    )


class Settings(BaseSettings):
    """Everything about the place where a process runs. Secrets print as asterisks."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    home: Path = Field(Path(".fedcart"), description="folder for everything that fedcart writes")
    role: Identifier = Field("coordinator", description="`coordinator`, or the id of the party")
    bucket: str = "fedcart"
    s3_endpoint: str | None = Field(
        None, description="URL of the store, http(s)://host[:port]; none means AWS"
    )
    s3_region: str = "us-east-1"
    s3_silence: float = Field(
        60.0, gt=0.0, description="seconds after which a store that says nothing is asked again"
    )
    s3_access_key_id: Annotated[str, WithJsonSchema({"type": "string", "writeOnly": True})] | None = None
    s3_secret_access_key: SecretStr | None = None
    database: SecretStr | None = Field(
        None, description="URL of a PostgreSQL for the Prefect server; read by fedcart up and fedcart demo"
    )
    signing_key: Path | None = Field(None, description="PEM file with the role's Ed25519 key")
    model_signing_key: Path | None = Field(
        None, description="PEM file with the key of the curve P-256 that signs models; coordinator only"
    )
    party_keys: dict[str, str] = Field({}, description="party id to public key, base64; coordinator only")
    tables: dict[str, Tables] = Field({}, description="recipe name to this role's tables")
    model_folders: dict[str, Path] = Field({}, description="recipe name to a local model folder")
    models_repository: str | None = Field(
        None,
        description="path or URL of the git repository in which the coordinator records releases;"
        " none means one of its own",
    )
    policy: PartyPolicy = Field(PartyPolicy(), description="what this party agrees to; parties only")
    versions: DataVersions = Field(
        DataVersions(), description="where its data versions are pushed to; parties only"
    )
    schedules: Schedules = Field(Schedules(), description="read by fedcart deploy alone")
    torch_threads: int = Field(1, ge=1)
    poll_seconds: float = Field(0.05, gt=0.0, description="first wait between two looks at the store")

    @field_validator("s3_endpoint")
    @classmethod
    def _endpoint(cls, url: str | None) -> str | None:
        if url is not None and not _is_endpoint(url):
            plain = not set("@/?#") & set(re.sub("^[a-z0-9]*://", "", url))  # else it may hold a secret
            shown = f"is {url!r}, but " if plain else ""
            raise fault_of_place(f"{shown}must be http(s)://host[:port], without a login or a path")
        return url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the role's file; neither `.env` nor secret folders."""
        del dotenv_settings, file_secret_settings
        toml = TomlConfigSettingsSource(settings_cls, Path(os.environ.get(CONFIG_VARIABLE, "fedcart.toml")))
        return init_settings, env_settings, toml

    @property
    def chosen_bucket(self) -> str | None:
        """The bucket, where somebody named one."""
        return self.bucket if "bucket" in self.model_fields_set else None

    @property
    def chosen_database(self) -> str | None:
        """URL of the Prefect server's database, a secret, where somebody named one."""
        return self.database.get_secret_value() if self.database else None

    @property
    def workspace(self) -> Path:
        """The role's private folder below `home`."""
        return role_folder(self.home, self.role)


def party_tables(tables: Mapping[str, Tables], recipe: str, party: str) -> Tables:
    """A party's own tables for a recipe.

    Raises:
        InputError: `table-missing`: its settings name none.
    """
    found = tables.get(recipe)
    if found is None or found.train is None:
        raise InputError(
            f"Party {party} has no table for the recipe {recipe} in its settings",
            fix=f"run fedcart data prepare, or set [tables.{recipe}] train in the party's fedcart.toml",
            code="table-missing",
        )
    return found


def coordinator_table(tables: Mapping[str, Tables], recipe: str, name: str) -> Path:
    """Where one of the coordinator's sets for a recipe lies.

    Raises:
        InputError: `table-missing`: its settings do not name it.
    """
    path: Path | None = getattr(tables.get(recipe), name, None)
    if path is None:
        raise InputError(
            f"The coordinator has no {name} set for the recipe {recipe}",
            fix=f"run fedcart data prepare --recipe {recipe}",
            code="table-missing",
        )
    return path


def load_settings(**overrides: Any) -> Settings:
    """Read the settings of this process.

    Raises:
        InputError: a `FEDCART_` variable is misspelt, `FEDCART_CONFIG` names no file, or a value has the
            wrong type; names all faults.
    """
    _refuse_unknown_variables()
    _refuse_missing_file()
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise InputError(
            f"The settings have {describe_faults(error, Settings, named=_by_source(overrides))}",
            fix="correct the FEDCART_ variable or fedcart.toml",
            code="settings-invalid",
        ) from None
    except SettingsError as error:
        field = re.search(r'field "(\w+)"', str(error))
        raise InputError(
            f"{_variable(field.groups()) if field else f'A {PREFIX} variable'} is not valid JSON",
            fix="correct its syntax, or set it in fedcart.toml",
            code="settings-invalid",
        ) from None
    except (ValueError, RecursionError):
        raise InputError(
            f"The settings file that {CONFIG_VARIABLE} names (by default fedcart.toml) "
            "is not valid TOML in UTF-8",
            fix="correct its syntax",
            code="settings-invalid",
        ) from None


def load_role_settings(home: Path, role: str) -> Settings:
    """The settings of one role of the local stack, from that role's own file.

    Raises:
        InputError: the file is missing or not valid.
    """
    path = role_settings(home, role)
    try:
        values = parsed_settings(path, role, tomllib.loads)
    except FileNotFoundError:
        raise InputError(
            f"There are no settings of {role}", fix="run fedcart up first", code="settings-missing"
        ) from None
    return load_settings(**values)


def _is_endpoint(url: str) -> bool:
    """Whether boto3 takes it, and it holds neither a login nor anything behind host and port."""
    from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url

    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.port == 0:
            return False
    except ValueError:  # the port is no number, or beyond all ports
        return False
    if "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        return False
    return bool(is_valid_endpoint_url(url) or is_valid_ipv6_endpoint_url(url))


def _variable(location: Location) -> str:
    return PREFIX + "__".join(map(str, location)).upper()


def _by_source(arguments: Collection[str]) -> Callable[[Location], str]:
    """How a fault's place is called: by the variable that holds it, else by its keys.

    Args:
        arguments: settings that are not taken from the environment.
    """
    there = {name.upper() for name in os.environ}

    def named(location: Location) -> str:
        if location and location[0] not in arguments:
            for end in range(len(location), 0, -1):
                if _variable(location[:end]) in there:
                    return ".".join([_variable(location[:end]), *map(str, location[end:])])
        return ".".join(map(str, location))

    return named


def _refuse_missing_file() -> None:
    named = os.environ.get(CONFIG_VARIABLE)
    if named is not None and not Path(named).is_file():
        raise InputError(
            f"{CONFIG_VARIABLE} names {Path(named).name!r}, which is no file",
            fix="correct it, or unset it to use the fedcart.toml of the present folder",
            code="settings-missing",
        )


def _refuse_unknown_variables() -> None:
    known = {f"{PREFIX}{field}".upper() for field in Settings.model_fields} | {CONFIG_VARIABLE}
    unknown = sorted(
        name
        for name in os.environ
        if name.upper().startswith(PREFIX) and name.upper().split("__")[0] not in known
    )
    if unknown:
        raise InputError(
            f"The environment sets {', '.join(unknown)}, which fedcart does not know",
            fix=f"use one of {', '.join(sorted(known))}",
            code="settings-unknown",
        )
