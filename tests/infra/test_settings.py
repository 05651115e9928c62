"""Settings: the environment before the file, a misspelt variable is an error, secrets do not print."""

import pytest

from fedmodels.errors import InputError
from infra.role_settings import update_role_settings
from infra.settings import load_role_settings, load_settings


@pytest.fixture(autouse=True)
def _no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDCART_CONFIG", raising=False)


def test_the_environment_beats_the_file(tmp_path, monkeypatch):
    (tmp_path / "fedcart.toml").write_text('bucket = "from-file"\nrole = "shop-a"\n')
    monkeypatch.setenv("FEDCART_BUCKET", "from-env")
    settings = load_settings()
    assert (settings.bucket, settings.role) == ("from-env", "shop-a")


def test_a_misspelt_variable_is_an_error(monkeypatch):
    monkeypatch.setenv("FEDCART_BUKET", "x")
    with pytest.raises(InputError, match="FEDCART_BUKET") as caught:
        load_settings()
    assert caught.value.code == "settings-unknown"


def test_all_faults_of_a_file_at_once(tmp_path):
    (tmp_path / "fedcart.toml").write_text('torch_threads = 0\ncolour = "red"\n')
    with pytest.raises(InputError) as caught:
        load_settings()
    assert str(caught.value) == (
        "The settings have 2 faults: torch_threads is 0, but must be a whole number of at least 1; colour is"
        " not a known key; correct the FEDCART_ variable or fedcart.toml."
    )


def test_a_fault_of_the_environment_names_variable_and_value(monkeypatch):
    monkeypatch.setenv("FEDCART_TORCH_THREADS", "0")
    monkeypatch.setenv("FEDCART_POLL_SECONDS", "abc")
    monkeypatch.setenv("FEDCART_POLICY__MAX_ROUNDS", "many")
    monkeypatch.setenv("fedcart_role", "King!")
    with pytest.raises(InputError) as caught:
        load_settings()
    said = str(caught.value)
    assert "FEDCART_TORCH_THREADS is '0', but must be a whole number of at least 1" in said
    assert "FEDCART_POLL_SECONDS is 'abc', but must be a number above 0" in said
    assert "FEDCART_POLICY__MAX_ROUNDS is 'many', but must be a whole number of at least 1" in said
    assert "FEDCART_ROLE is 'King!', but must be an id of 1 to 31 lower-case letters" in said


def test_what_a_variable_holds_is_called_by_it_and_what_beats_it_is_not(monkeypatch):
    monkeypatch.setenv("FEDCART_POLICY", '{"max_rounds": 0}')
    monkeypatch.setenv("FEDCART_POLL_SECONDS", "1")
    with pytest.raises(InputError, match=r"FEDCART_POLICY\.max_rounds is 0, but") as caught:
        load_settings(poll_seconds=-1)
    assert "; poll_seconds is -1, but must be a number above 0;" in str(caught.value)


def test_a_variable_that_is_no_json_is_told(monkeypatch):
    monkeypatch.setenv("FEDCART_TABLES", "/confidential/shop-a.csv")
    with pytest.raises(InputError, match="FEDCART_TABLES is not valid JSON") as caught:
        load_settings()
    assert (caught.value.code, "confidential" in str(caught.value)) == ("settings-invalid", False)


@pytest.mark.parametrize("named", ["nix.toml", "."])
def test_a_settings_file_that_does_not_exist(tmp_path, monkeypatch, named):
    monkeypatch.setenv("FEDCART_CONFIG", str(tmp_path / named))
    with pytest.raises(InputError, match=r"FEDCART_CONFIG names '.+', which is no file") as caught:
        load_settings()
    assert caught.value.code == "settings-missing"


def test_a_fault_shows_neither_value_nor_path(tmp_path):
    (tmp_path / "fedcart.toml").write_text(
        "s3_secret_access_key = 12345\ns3_access_key_id = 12345\nhome = 12345\n"
        'tables = "/confidential/shop-a.csv"\nmodel_folders = ["/confidential"]\n'
    )
    with pytest.raises(InputError) as caught:
        load_settings()
    assert "5 faults" in str(caught.value)
    assert "tables must be a mapping of keys to values" in str(caught.value)
    assert "12345" not in str(caught.value)
    assert "confidential" not in str(caught.value)


@pytest.mark.parametrize("content", [b"not = = toml", b'role = "caf\xe9"', b"tables = " + 5000 * b"["])
def test_a_file_that_is_no_toml(tmp_path, content):
    (tmp_path / "fedcart.toml").write_bytes(content)
    with pytest.raises(InputError, match="not valid TOML"):
        load_settings()


def test_secrets_do_not_print(monkeypatch):
    monkeypatch.setenv("FEDCART_S3_SECRET_ACCESS_KEY", "hunter2")
    assert "hunter2" not in repr(load_settings())


def test_a_roles_own_file_wins_over_the_environments_home(tmp_path):
    update_role_settings(tmp_path, "shop-a", {"role": "shop-a", "tables": {"mine": {"train": "/x/a.csv"}}})
    settings = load_role_settings(tmp_path, "shop-a")
    assert settings.role == "shop-a"
    assert str(settings.tables["mine"].train) == "/x/a.csv"


def test_settings_of_an_unknown_role(tmp_path):
    with pytest.raises(InputError, match="no settings of shop-b"):
        load_role_settings(tmp_path, "shop-b")


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.example.com",
        "http://127.0.0.1:8333",
        "http://store:9000/",
        "http://[::1]:8333",
        "https://s3.eu",
    ],
)
def test_an_endpoint_is_taken_as_it_is(url):
    assert load_settings(s3_endpoint=url).s3_endpoint == url


@pytest.mark.parametrize(
    "url",
    ["foo", "", "127.0.0.1:8333", "ftp://store", "http://", "http://a b", "http://s:99999", "http://s:x"],
)
def test_an_endpoint_that_is_no_url_of_a_host_is_refused(monkeypatch, url):
    monkeypatch.setenv("FEDCART_S3_ENDPOINT", url)
    with pytest.raises(InputError) as caught:
        load_settings()
    said = f"FEDCART_S3_ENDPOINT is '{url}', but must be http(s)://host[:port], without a login or a path"
    assert said in str(caught.value)
    assert caught.value.code == "settings-invalid"


@pytest.mark.parametrize("url", ["http://me:hunter2@store", "http://store/hunter2", "http://store?hunter2"])
def test_an_endpoint_holds_neither_password_nor_path(url):
    with pytest.raises(InputError, match="s3_endpoint") as caught:
        load_settings(s3_endpoint=url)
    assert "hunter2" not in str(caught.value)
