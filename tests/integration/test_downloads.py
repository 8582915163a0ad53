"""Downloads from a hub that misbehaves: whatever it does, a model is whole or it is not there."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.control import Control
from core.errors import UserError, explain
from core.events import DownloadProgress, Event, Finished, Notice, StageStarted, from_line
from core.hub import catalog, sources
from core.hub.catalog import ModelCard, Repo, folder_of, is_here
from core.hub.download import Limits
from core.hub.job import download_model
from core.jobs import DownloadJob, job_to_line
from tests.hub_server import COMMIT, Bad, Hub, serving

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = random.Random(4).randbytes(600_000)
SMALL = b"tag_id,name,category\n"
FILES = {"model.onnx": MODEL, "selected_tags.csv": SMALL, "README.md": b"not asked for"}
QUICK = Limits(answer_s=2, last_answer_s=5, stall_s=0.3, attempts=3, first_wait_s=0.01, longest_wait_s=0.05)
CARD = ModelCard(
    key="probe",
    title="Probe",
    kind="tagger",
    description="",
    license="MIT",
    files=("selected_tags.csv", "model.onnx"),
    hugging_face=Repo("someone/model"),
    model_scope=Repo("other/model", "master"),
)


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", os.environ["KILN_HOME"])
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """All three sources at once."""
    with serving(FILES) as server:
        for variable in ("KILN_HUGGINGFACE", "KILN_HF_MIRROR", "KILN_MODELSCOPE"):
            monkeypatch.setenv(variable, server.url)
        yield server


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelCard]:
    """Makes the probe a model of the catalogue, with changes."""

    def use(**changes: Any) -> ModelCard:
        changed = replace(CARD, **changes)
        monkeypatch.setattr(catalog, "_detectors", lambda: (changed,))
        return changed

    use()
    return use


pytestmark = pytest.mark.usefixtures("card")


def get(control: Control | None = None, limits: Limits = QUICK, **job: Any) -> list[Event]:
    return list(download_model(DownloadJob(model="probe", **job), control or Control(), limits))


def assert_whole(folder: Path | None = None) -> None:
    place = folder or folder_of(CARD)
    assert (place / "model.onnx").read_bytes() == MODEL
    assert (place / "selected_tags.csv").read_bytes() == SMALL
    assert {path.name for path in place.iterdir()} == {"model.onnx", "selected_tags.csv", "kiln-model.json", ".lock"}


def notices(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


def test_a_model_arrives_whole_and_is_marked(hub: Hub) -> None:
    events = get()
    assert_whole()
    assert is_here(CARD)
    assert events[-1] == Finished(output=folder_of(CARD))
    last = [event for event in events if isinstance(event, DownloadProgress)][-1]
    assert last.done_bytes == last.total_bytes == len(MODEL) + len(SMALL)
    assert [event.stage for event in events if isinstance(event, StageStarted)] == ["connect", "download"]
    values = json.loads((folder_of(CARD) / "kiln-model.json").read_text())
    assert values["files"][1]["sha256"] == hashlib.sha256(MODEL).hexdigest()
    assert values["origin"] == f"{hub.url}/someone/model@{COMMIT}"
    assert all(COMMIT in asked.path for asked in hub.asked[1:])  # One revision, even if the branch moves meanwhile.
    assert not hub.asked_for("README.md")


def test_a_model_that_is_here_is_read_and_asks_nobody(hub: Hub) -> None:
    get()
    hub.asked.clear()
    events = get()
    assert [event.stage for event in events if isinstance(event, StageStarted)] == ["verify"]
    assert events[-1] == Finished(output=folder_of(CARD))
    assert not hub.asked


def test_what_is_damaged_in_a_model_that_is_here_comes_again(hub: Hub) -> None:
    get()
    (folder_of(CARD) / "model.onnx").write_bytes(bytes(len(MODEL)))
    hub.asked.clear()
    events = get()
    assert_whole()  # Nothing was put aside: it was a download, not the user's own.
    assert "model.onnx is damaged and comes again." in notices(events)
    assert len(hub.asked_for("model.onnx")) == 1 and not hub.asked_for("selected_tags.csv")


def test_reading_a_model_that_is_here_can_be_cancelled(hub: Hub) -> None:
    get()
    control = Control()
    control.ask("stop")
    assert get(control)[-1] == Finished(stopped=True)
    assert is_here(CARD)


def test_a_model_that_the_catalogue_wants_in_another_version_comes_anew(
    hub: Hub, card: Callable[..., ModelCard]
) -> None:
    get()
    newer = random.Random(5).randbytes(len(MODEL))
    hub.files |= {"model.onnx": newer, "new.json": b"{}"}
    changed = card(files=(*CARD.files, "new.json"))
    assert not is_here(changed)
    changed = card(sha256={"model.onnx": hashlib.sha256(newer).hexdigest()})
    assert not is_here(changed)
    get()
    assert is_here(changed)
    assert (folder_of(changed) / "model.onnx").read_bytes() == newer


def test_after_a_cut_at_90_percent_only_the_rest_is_asked_for(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(cut=0.9)]
    get()
    assert_whole()
    first, second = hub.asked_for("model.onnx")
    assert second.first_byte == sum(first.sent_bytes) == int(len(MODEL) * 0.9)
    assert sum(first.sent_bytes) + sum(second.sent_bytes) == len(MODEL)


def test_a_stalled_connection_is_given_up_and_resumed(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(stall=0.5)]
    events = get()
    assert_whole()
    first, second = hub.asked_for("model.onnx")
    assert second.first_byte == sum(first.sent_bytes)
    assert any(isinstance(event, DownloadProgress) and 0 < event.done_bytes < len(MODEL) for event in events)


def test_a_server_that_cuts_often_but_always_gives_something_is_borne(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(cut=share / 10) for share in range(1, 10)]
    get(source="huggingface")
    assert_whole()
    assert sum(sum(asked.sent_bytes) for asked in hub.asked_for("model.onnx")) == len(MODEL)


@pytest.mark.parametrize("hides_length", [False, True])
def test_a_server_that_cannot_continue_loses_nothing(hub: Hub, hides_length: bool) -> None:
    hub.bad["model.onnx"] = [Bad(cut=0.5), Bad(cut=0.3, ignores_range=True), Bad(cut=0.8, ignores_range=True)]
    hub.bad["model.onnx"] = [replace(bad, hides_length=hides_length) for bad in hub.bad["model.onnx"]]
    get(source="huggingface")
    assert_whole()
    assert [asked.first_byte / len(MODEL) for asked in hub.asked_for("model.onnx")] == [0, 0.5, 0.5, 0.8]


def test_a_server_that_refuses_parts_is_asked_for_the_whole(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(cut=0.9), Bad(status=416)]
    get(source="huggingface")
    assert_whole()
    assert ["range" in asked.headers for asked in hub.asked_for("model.onnx")] == [False, True, False]


@pytest.mark.parametrize("hides_length", [False, True])
def test_a_login_page_does_not_cost_what_is_here(hub: Hub, hides_length: bool) -> None:
    hub.bad["model.onnx"] = [Bad(cut=0.9), Bad(text="<html>Welcome</html>", hides_length=hides_length)]
    with pytest.raises(UserError) as caught:
        get(source="huggingface")
    assert caught.value.message == "Hugging Face answers with something else than model.onnx."
    get(source="huggingface")
    assert_whole()
    assert hub.asked_for("model.onnx")[-1].first_byte == int(len(MODEL) * 0.9)


def test_where_one_source_has_a_login_page_another_one_goes_on(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.bad["model.onnx"] = [Bad(cut=0.9), Bad(text="<html>Welcome</html>"), Bad(text="<html>Welcome</html>")]
    with serving(FILES) as other:
        monkeypatch.setenv("KILN_MODELSCOPE", other.url)
        get()
    assert_whole()
    assert [asked.first_byte for asked in other.asked_for("model.onnx")] == [int(len(MODEL) * 0.9)]


def test_a_server_that_always_cuts_and_never_continues_is_given_up(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(cut=0.5, ignores_range=True)] * 50
    with pytest.raises(UserError) as caught:
        get(source="huggingface")
    assert caught.value.message == "The connection to Hugging Face broke again and again."
    assert len(hub.asked_for("model.onnx")) <= QUICK.attempts + 1


def test_a_file_that_changed_on_the_server_is_not_mixed_with_the_old_one(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(cut=0.5)] + [Bad(status=500)] * 2
    with pytest.raises(UserError):
        get(source="huggingface")
    hub.files["model.onnx"] = newer = random.Random(5).randbytes(len(MODEL))
    get(source="huggingface")
    assert (folder_of(CARD) / "model.onnx").read_bytes() == newer
    assert hub.asked_for("model.onnx")[-1].first_byte == 0
    assert not list(folder_of(CARD).glob("*.part"))


def test_a_damaged_file_is_fetched_once_more(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(corrupt=True)]
    get()
    assert_whole()
    assert [asked.first_byte for asked in hub.asked_for("model.onnx")] == [0, 0]


def test_a_file_that_is_too_long_is_refused(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(extra_bytes=5)]
    with pytest.raises(UserError) as caught:
        get(source="huggingface")
    assert caught.value.message == "Hugging Face answers with something else than model.onnx."


def test_of_a_file_that_does_not_end_only_its_size_is_taken(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(extra_bytes=5, hides_length=True)]
    get(source="huggingface")
    assert_whole()


def test_a_damaged_part_from_before_does_not_count_as_a_try(hub: Hub) -> None:
    place = folder_of(CARD)
    place.mkdir(parents=True)
    (place / f".kiln-{hashlib.sha256(MODEL).hexdigest()[:16]}.part").write_bytes(bytes(len(MODEL)))
    hub.bad["model.onnx"] = [Bad(corrupt=True)]
    get(source="huggingface")
    assert_whole()


@pytest.mark.parametrize("name", ["model.onnx", "selected_tags.csv"])  # Known by SHA-256, and by the hash of git.
def test_a_file_that_stays_damaged_is_refused(hub: Hub, name: str) -> None:
    hub.bad[name] = [Bad(corrupt=True)] * 2
    with pytest.raises(UserError) as caught:
        get(source="huggingface")
    assert caught.value.message == f"{name} came damaged from Hugging Face, twice."
    assert not (folder_of(CARD) / name).exists()
    assert not is_here(CARD)
    assert len(hub.asked_for(name)) == 2


def test_a_damaged_partial_file_is_not_trusted(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(cut=0.5)] + [Bad(status=503)] * 2
    with pytest.raises(UserError):
        get(source="huggingface")
    (part,) = folder_of(CARD).glob("*.part")
    part.write_bytes(bytes(len(part.read_bytes())))
    get(source="huggingface")
    assert_whole()


@pytest.mark.parametrize("place", ["list", "model.onnx"])
@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (401, "GatedRepo", "Hugging Face gives Probe only to those who accepted its licence there."),
        (403, "GatedRepo", "Hugging Face gives Probe only to those who accepted its licence there."),
        (403, "", "Hugging Face gives Probe only to those who accepted its licence there."),
        (401, "RepoNotFound", "Hugging Face does not have Probe."),
        (404, "", "Hugging Face does not have Probe."),
        (410, "", "Hugging Face does not have Probe."),
        (451, "", "Hugging Face answers with the error 451."),
    ],
)
def test_a_refusal_is_explained(hub: Hub, place: str, status: int, code: str, message: str) -> None:
    hub.bad[place] = [Bad(status=status, error_code=code)]
    with pytest.raises(UserError) as caught:
        get(source="huggingface")
    assert caught.value.message == message
    assert len(hub.asked_for(place)) == 1
    if "licence" in message:
        assert "https://huggingface.co/someone/model" in caught.value.remedy
        assert "HF_TOKEN" in caught.value.remedy


@pytest.mark.parametrize("place", ["list", "model.onnx"])
@pytest.mark.parametrize("bad", [Bad(status=429, retry_after="0"), Bad(status=500)], ids=["429", "500"])
def test_what_passes_is_waited_for(hub: Hub, place: str, bad: Bad) -> None:
    hub.bad[place] = [bad]
    get(source="huggingface")
    assert_whole()
    assert len(hub.asked_for(place)) == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Bad(status=429, retry_after="0"), "Hugging Face asks for patience; Kiln tries again in 1 s."),
        (Bad(status=500), "Hugging Face answers with the error 500; Kiln tries again in 1 s."),
    ],
    ids=["429", "500"],
)
def test_a_wait_says_why(hub: Hub, bad: Bad, message: str) -> None:
    hub.bad["list"] = [bad]
    assert message in notices(get(source="huggingface"))


def test_nobody_waits_long_for_a_source_while_there_is_another(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(*_: object) -> Iterator[None]:
        raise AssertionError("the mirror was there")

    monkeypatch.setattr("core.hub.job.pause", wait)
    hub.bad["list"] = [Bad(status=429, retry_after="12")]
    events = get(limits=Limits(stall_s=1))
    assert_whole()
    host = hub.url.removeprefix("http://")
    refusal = "Hugging Face gets too many requests from this address."
    assert f"{refusal} Kiln tries {host} instead." in notices(events)


def test_a_server_s_wish_to_wait_is_heeded_within_reason(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def note(seconds: float, _: Control) -> Iterator[None]:
        waits.append(seconds)
        return iter(())

    monkeypatch.setattr("core.hub.download.pause", note)
    hub.bad["model.onnx"] = [Bad(status=429, retry_after="7"), Bad(status=429, retry_after="86400")]
    get(source="huggingface", limits=Limits(stall_s=1))
    assert waits == [7.0, 60.0]


def test_too_many_requests_end_in_words(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(status=429)] * QUICK.attempts
    with pytest.raises(UserError) as caught:
        get(source="huggingface")
    assert caught.value.message == "Hugging Face gets too many requests from this address."


def test_when_the_first_source_cannot_be_reached_the_mirror_is_taken(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILN_HUGGINGFACE", f"http://127.0.0.1:{closed_port()}")
    events = get()
    assert_whole()
    host = hub.url.removeprefix("http://")
    assert f"Hugging Face does not answer. Kiln tries {host} instead." in notices(events)


def test_when_the_first_source_is_silent_the_mirror_is_taken(
    hub: Hub, card: Callable[..., ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    card(model_scope=None)
    with serving({}) as silent:
        silent.bad["list"] = [Bad(slow=True)]
        monkeypatch.setenv("KILN_HUGGINGFACE", silent.url)
        started = time.monotonic()
        events = get(limits=Limits(answer_s=0.3, stall_s=1))
        assert_whole()
        assert time.monotonic() - started < 5
    host = hub.url.removeprefix("http://")
    told = [f"Hugging Face does not answer. Kiln tries {host} instead.", f"Downloading from {host}."]
    assert notices(events) == told


def test_who_chose_the_mirror_is_told_to_nobody_else(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    with serving(FILES) as elsewhere:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", elsewhere.url)
        monkeypatch.setenv("KILN_HUGGINGFACE", elsewhere.url)
        get(source="mirror")
        assert not elsewhere.asked
    assert_whole()


def test_modelscope_is_the_last_resort_and_completes_what_another_source_began(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(FILES) as other:
        monkeypatch.setenv("KILN_MODELSCOPE", other.url)
        hub.bad["model.onnx"] = [Bad(cut=0.6)] + [Bad(status=500)] * 20
        events = get()
    assert_whole()
    assert "Downloading from ModelScope." in notices(events)
    (rest,) = other.asked_for("model.onnx")
    assert rest.first_byte == int(len(MODEL) * 0.6)


def test_when_nobody_answers_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = f"http://127.0.0.1:{closed_port()}"
    for variable in ("KILN_HUGGINGFACE", "KILN_HF_MIRROR", "KILN_MODELSCOPE"):
        monkeypatch.setenv(variable, nowhere)
    with pytest.raises(UserError) as caught:
        get()
    assert caught.value.message.startswith("None of the sources answers: Hugging Face, 127.0.0.1:")


def test_the_mirror_of_the_environment_comes_first(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KILN_HF_MIRROR")
    monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
    monkeypatch.setenv("KILN_HUGGINGFACE", f"http://127.0.0.1:{closed_port()}")
    events = get()
    assert_whole()
    assert notices(events) == [f"Downloading from {hub.url.removeprefix('http://')}."]


def test_the_login_of_a_mirror_is_used_and_never_shown(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    host = hub.url.removeprefix("http://")
    monkeypatch.delenv("KILN_HF_MIRROR")
    monkeypatch.setenv("HF_ENDPOINT", f"http://me:s3%40cret@{host}")
    hub.bad["list"] = [Bad(status=500)]
    events = get(source="mirror")
    assert_whole()
    expected = "Basic " + base64.b64encode(b"me:s3@cret").decode()
    assert {asked.headers["authorization"] for asked in hub.asked} == {expected}
    shown = repr(events) + (folder_of(CARD) / "kiln-model.json").read_text() + sources.title_of("mirror")
    assert "cret" not in shown and f"Downloading from {host}." in shown


def test_a_login_page_in_between_is_named(hub: Hub) -> None:
    hub.bad["list"] = [Bad(text="<html>Welcome to the hotel</html>")]
    with pytest.raises(UserError) as caught:
        get(source="modelscope")
    assert caught.value.message == "ModelScope answers with something that is no list of files."


def test_a_redirect_takes_no_token_to_another_host(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serving(FILES) as elsewhere:
        hub.bad["model.onnx"] = [Bad(moved_to=elsewhere.url.replace("127.0.0.1", "localhost"))]
        get()
        assert_whole()
        (moved,) = elsewhere.asked_for("model.onnx")
    assert "authorization" not in moved.headers
    (asked,) = hub.asked_for("model.onnx")
    assert asked.headers["authorization"] == "Bearer hf_secret"


@pytest.mark.parametrize("source", ["mirror", "modelscope"])
def test_only_hugging_face_gets_its_token(hub: Hub, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    events = get(source=source)
    assert all("authorization" not in asked.headers for asked in hub.asked)
    assert "hf_secret" not in repr(events)


def test_an_outdated_token_is_left_away_where_none_is_needed(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_outdated")
    hub.bad["list"] = [Bad(status=401)]
    get(source="huggingface")
    assert_whole()
    assert "authorization" not in hub.asked_for("model.onnx")[0].headers


def test_passwords_of_netrc_stay_at_home(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get(source="modelscope")
    assert all("authorization" not in asked.headers for asked in hub.asked)


def test_the_proxy_of_the_environment_is_used(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", hub.url)  # The hub answers whatever host it is asked for.
    monkeypatch.setenv("KILN_MODELSCOPE", "http://models.invalid")
    get(source="modelscope")
    assert_whole()
    assert all(asked.path.startswith("http://models.invalid/") for asked in hub.asked)


@pytest.mark.parametrize("source", ["huggingface", "modelscope", "auto"])
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "socks://127.0.0.1:1", "odd://127.0.0.1:1", "http://[::1"])
def test_a_proxy_that_is_no_http_proxy_is_explained(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, proxy: str, source: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(UserError) as caught:
        get(source=source)
    assert caught.value.message.startswith("The proxy of this machine is no HTTP proxy")
    assert "HTTPS_PROXY" in caught.value.remedy and "ALL_PROXY" in caught.value.remedy


@pytest.mark.parametrize("source", ["huggingface", "modelscope"])
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "socks://127.0.0.1:1"])
def test_beside_an_http_proxy_a_socks_proxy_does_no_harm(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, proxy: str, source: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    monkeypatch.setenv("NO_PROXY", "")
    get(source=source)
    assert_whole()


def test_a_source_that_needs_no_proxy_is_asked_though_the_proxy_is_of_no_use(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILN_MODELSCOPE", hub.url.replace("127.0.0.1", "localhost"))
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert "Downloading from ModelScope." in notices(get())
    assert_whole()


def test_a_proxy_that_wants_a_login_is_explained(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = "The proxy of this machine wants a name and a password."
    hub.bad["list"] = [Bad(status=407)]
    with pytest.raises(UserError) as caught:
        get(source="modelscope")
    assert caught.value.message == expected
    monkeypatch.setenv("HTTPS_PROXY", hub.url)  # Of a tunnel, the answer of the proxy comes as an exception.
    monkeypatch.setenv("KILN_MODELSCOPE", "https://models.invalid")
    with pytest.raises(UserError) as caught:
        get(source="modelscope")
    assert caught.value.message == expected


@pytest.mark.parametrize("token", ["“hf_secret”", "hf secret", "hf_ａ"])
def test_a_token_that_is_none_is_explained(hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError) as caught:
        get(source="huggingface")
    assert caught.value.message == "Your access token for Hugging Face has a character that no token has."
    assert not hub.asked
    get()  # The mirror needs none.
    assert_whole()


@pytest.mark.parametrize("source", ["huggingface", "modelscope", "auto"])
def test_offline_mode_is_explained(hub: Hub, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE"):
        get(source=source)
    assert not hub.asked


def test_a_switch_of_another_library_does_not_forbid_downloads(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # What that library makes of it.
    get(source="huggingface")
    assert_whole()


@pytest.mark.parametrize("place", ["list", "model.onnx"])
def test_cancel_is_heard_at_once_though_the_server_stalls(hub: Hub, place: str) -> None:
    hub.bad[place] = [Bad(slow=True)] if place == "list" else [Bad(stall=0.5)]
    control = Control()
    events: list[Event] = []
    patient = Limits(answer_s=30, last_answer_s=30, stall_s=30)
    job = DownloadJob(model="probe", source="huggingface")

    def follow() -> None:
        for event in download_model(job, control, patient):
            events.append(event)

    work = threading.Thread(target=follow)
    work.start()
    wait_until(lambda: hub.asked_for("list") if place == "list" else most_bytes(events) >= len(MODEL) // 2)
    started = time.monotonic()
    control.ask("stop")
    work.join(10)
    assert time.monotonic() - started < 1
    assert events[-1] == Finished(stopped=True)
    assert not is_here(CARD)
    hub.bad.clear()
    get(source="huggingface")
    assert_whole()
    if place == "model.onnx":
        assert hub.asked_for("model.onnx")[-1].first_byte == len(MODEL) // 2


@pytest.mark.parametrize("root", ["我的 模型 😀", "x" * 200, "surrogate \udcff"])
def test_folders_of_all_names_work(hub: Hub, tmp_path: Path, root: str) -> None:
    place = tmp_path / root
    hub.bad["model.onnx"] = [Bad(cut=0.5)]
    events = get(folder=place)
    assert_whole(folder_of(CARD, place))
    assert events[-1] == Finished(output=place / "taggers" / "probe")


def test_files_that_are_there_already_are_checked_and_kept(hub: Hub) -> None:
    place = folder_of(CARD)
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(MODEL)
    get()
    assert_whole()
    assert not hub.asked_for("model.onnx")
    assert len(hub.asked_for("selected_tags.csv")) == 1


@pytest.mark.parametrize("own", [bytes(len(MODEL)), b"short"], ids=["same size", "another size"])
def test_a_file_of_the_user_s_own_gets_another_name(hub: Hub, own: bytes) -> None:
    place = folder_of(CARD)
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(own)
    (place / "model.onnx.mine").write_bytes(b"an older one")
    hub.bad["model.onnx"] = [Bad(status=404)]
    with pytest.raises(UserError):
        get(source="huggingface")
    assert (place / "model.onnx").read_bytes() == own  # Until there is another one, it stays where it is.
    events = get(source="huggingface")
    assert (place / "model.onnx.mine1").read_bytes() == own
    assert (place / "model.onnx.mine").read_bytes() == b"an older one"
    assert "Another model.onnx was there already; it is called model.onnx.mine1 now." in notices(events)
    for name in ("model.onnx.mine", "model.onnx.mine1"):
        (place / name).unlink()
    assert_whole()


def test_a_full_disk_is_seen_before_the_first_byte(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError) as caught:
        get()
    assert caught.value.message.startswith("Probe needs 0.00 GB more, and ")
    assert len(hub.asked) == 1  # The list of files.


def test_a_disk_that_becomes_full_is_explained(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import core.hub.download

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(core.hub.download._Digests, "add", no_room)
    with pytest.raises(UserError) as caught:
        get()
    assert caught.value.message.startswith("The disk became full while Probe was downloaded to ")


def test_a_folder_that_may_not_be_written_is_explained(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(PermissionError) as caught:
        get()
    known = explain(caught.value)
    assert known is not None and known.message.startswith("Kiln has no right to open ")


@pytest.mark.parametrize(
    "name",
    ["../evil.csv", "/etc/evil.csv", "a/../../evil.csv", "C:evil.csv", "a\\evil.csv", "nul.csv", "evil.", "a//b"],
)
@pytest.mark.parametrize("source", ["huggingface", "modelscope"])
def test_a_name_that_would_leave_the_folder_is_refused(
    hub: Hub, card: Callable[..., ModelCard], name: str, source: str
) -> None:
    card(extras=("*", "*/*", "*/*/*", "*/*/*/*"))
    hub.files[name] = b"evil"
    with pytest.raises(UserError) as caught:
        get(source=source)
    assert "cannot be kept in the model's folder" in caught.value.message
    assert not hub.asked_for("model.onnx")


@pytest.mark.parametrize("source", ["huggingface", "modelscope"])
def test_an_odd_file_that_is_not_needed_does_no_harm(hub: Hub, source: str) -> None:
    hub.files["samples/what?.png"] = hub.files["../evil.csv"] = b"not asked for"
    get(source=source)
    assert_whole()


def test_names_that_some_systems_take_for_one_are_refused(hub: Hub, card: Callable[..., ModelCard]) -> None:
    card(extras=("*.json",))
    hub.files |= {"A.json": b"{}", "a.json": b"[]"}
    with pytest.raises(UserError) as caught:
        get(source="mirror")
    assert "cannot be kept in the model's folder: 'a.json'." in caught.value.message


def test_a_left_over_that_cannot_be_removed_does_no_harm(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(CARD).mkdir(parents=True)
    left_over = folder_of(CARD) / ".kiln-0123456789abcdef.part"
    left_over.write_bytes(b"x")
    unlink = Path.unlink

    def held(path: Path, missing_ok: bool = False) -> None:
        if path == left_over:
            raise PermissionError(errno.EACCES, "It is in use", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", held)
    assert get()[-1] == Finished(output=folder_of(CARD))
    assert is_here(CARD)


def test_parts_of_a_repository_go_into_the_model_s_folder(hub: Hub, card: Callable[..., ModelCard]) -> None:
    card(sub_folder="v1", files=("model.onnx",), extras=("*.json", "sub/*.txt"))
    hub.files = {
        "v1/model.onnx": MODEL,
        "v1/a.json": b"{}",
        "v1/sub/b.txt": b"b",
        "v1/sub/c.json": b"c",
        "d.json": b"d",
    }
    get()
    place = folder_of(CARD)
    names = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    assert names == {"model.onnx", "a.json", os.path.join("sub", "b.txt"), "kiln-model.json", ".lock"}  # noqa: PTH118


def test_a_source_that_lacks_a_file_is_passed_over(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({"selected_tags.csv": SMALL}) as poor:
        monkeypatch.setenv("KILN_HUGGINGFACE", poor.url)
        events = get()
    assert_whole()
    assert any("Hugging Face does not have model.onnx of Probe." in message for message in notices(events))


def test_another_version_than_the_known_one_is_not_taken(hub: Hub, card: Callable[..., ModelCard]) -> None:
    card(sha256={"model.onnx": "0" * 64})
    with pytest.raises(UserError) as caught:
        get(source="mirror")
    assert "has another version of model.onnx of Probe than Kiln knows" in caught.value.message
    assert not hub.asked_for("model.onnx")


def test_two_downloads_of_a_model_do_not_meet(hub: Hub) -> None:
    hub.bad["model.onnx"] = [Bad(stall=0.5)]
    control = Control()
    first = threading.Thread(target=lambda: get(control, limits=Limits(stall_s=30), source="huggingface"))
    first.start()
    try:
        wait_until(hub.stalled.is_set)
        with pytest.raises(UserError) as caught:
            get()
    finally:
        control.ask("stop")
        first.join(10)
    assert caught.value.message == "Probe is being downloaded already."


def test_a_disk_without_locks_is_not_taken_for_another_download(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("core.locks._lock", no_locks)
    with pytest.raises(UserError, match="cannot lock files"):
        get()


def test_a_killed_download_goes_on_where_it_was(hub: Hub) -> None:
    hub.files = {
        f"cl_tagger_1_01/{name}": data for name, data in {"model.onnx": MODEL, "tag_mapping.json": SMALL}.items()
    }
    hub.bad["cl_tagger_1_01/model.onnx"] = [Bad(stall=0.7)]
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    job = DownloadJob(model="cl_tagger_1_01", source="huggingface")
    child = subprocess.Popen(
        [sys.executable, "-m", "core.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(job_to_line(job) + "\n")
    child.stdin.flush()
    for line in child.stdout:
        event = from_line(line)
        if isinstance(event, DownloadProgress) and event.done_bytes >= len(SMALL) + int(len(MODEL) * 0.7):
            break
    child.kill()
    child.wait(10)
    child.stdin.close()
    child.stdout.close()
    events = list(download_model(job, Control(), QUICK))
    target = events[-1]
    assert isinstance(target, Finished) and target.output is not None
    assert (target.output / "model.onnx").read_bytes() == MODEL
    first, second = hub.asked_for("cl_tagger_1_01/model.onnx")
    assert second.first_byte == sum(first.sent_bytes)
    assert len(hub.asked_for("cl_tagger_1_01/tag_mapping.json")) == 1


def most_bytes(events: list[Event]) -> int:
    return max((event.done_bytes for event in events if isinstance(event, DownloadProgress)), default=0)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(is_so: Callable[[], object], limit_s: float = 10) -> None:
    end = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_sources_are_called_by_names_people_know(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [sources.title_of(source) for source in sources.sources_for(CARD, "auto")] == [
        "Hugging Face",
        "hf-mirror.com",
        "ModelScope",
    ]
