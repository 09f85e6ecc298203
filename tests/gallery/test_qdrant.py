"""A collection of Qdrant, in the client's local store, answers as our exact search does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

pytest.importorskip("qdrant_client", reason="needs the extra qdrant")
import qdrant_client

from selfalign.commands import index as index_command
from selfalign.errors import UserError
from selfalign.gallery import qdrant
from selfalign.gallery.index import Index
from selfalign.gallery.qdrant import QdrantGallery, connected, send
from selfalign.gallery.writing import write_index
from selfalign.retriever import Retriever
from tests.gallery.conftest import RUNS
from tests.gallery.test_commands import CAMERA

SENTENCES = ["a small red star", "two blue balls in the snow", "a crescent"]


@pytest.fixture(scope="module")
def indexes(camera: Retriever, vsrn: Retriever, scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qdrant")
    for name, model in (("camera", camera), ("vsrn", vsrn)):
        write_index(model, folder / name, scenes, "test")
    return folder


@pytest.fixture
def client() -> Iterator[object]:
    client = qdrant_client.QdrantClient(":memory:")
    yield client
    client.close()


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_it_answers_in_the_order_and_with_the_scores_of_our_exact_search(
    name: str, indexes: Path, client: object, request: pytest.FixtureRequest
) -> None:
    model, index = request.getfixturevalue(name), Index.open(indexes / name)
    send(index, client, "pictures")
    queries = model.encode_captions(SENTENCES)
    assert (model.encode_images(index.record.data)[:1].parts[0].views.shape[1] > 1) == (name == "camera")
    found, expected = QdrantGallery(client, "pictures").search(queries, top=12), index.search(queries, top=12)
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-6)
    assert torch.equal(found.rows, expected.rows)
    point = client.retrieve("pictures", [7], with_payload=True)[0]
    assert point.payload["file"] == "images/test_00007.png"
    assert point.payload["captions"] == index.captions[35:40]


def test_it_goes_on_where_it_was(indexes: Path, client: object, monkeypatch: pytest.MonkeyPatch) -> None:
    index, upsert, sent = Index.open(indexes / "camera"), client.upsert, []
    monkeypatch.setattr(qdrant, "_VALUES", 1)

    def stopping(collection: str, points: list, **others: object) -> None:
        if len(sent) == 5:
            raise KeyboardInterrupt
        sent.append(points[0].id)
        upsert(collection, points, **others)

    with monkeypatch.context() as patched:
        patched.setattr(client, "upsert", stopping)
        with pytest.raises(KeyboardInterrupt):
            send(index, client, "pictures")
    said: list[str] = []
    send(index, client, "pictures", said.append)
    assert said == ["goes on with collection pictures after 5 images"]
    assert client.count("pictures").count == 12
    send(index, client, "pictures", said.append)
    assert said[-1] == "collection pictures: is complete already"


def test_what_does_not_belong_together_is_refused(
    indexes: Path, client: object, camera: Retriever, vsrn: Retriever, both: Retriever, scenes: Path, tmp_path: Path
) -> None:
    send(Index.open(indexes / "camera"), client, "pictures")
    with pytest.raises(UserError, match="holds another index; choose another --collection"):
        send(Index.open(indexes / "vsrn"), client, "pictures")
    gallery = QdrantGallery(client, "pictures")
    with pytest.raises(UserError, match="made by another model"):
        gallery.search(vsrn.encode_captions(SENTENCES))
    with pytest.raises(UserError, match="finds images for sentences"):
        gallery.search(camera.encode_images(scenes))
    with pytest.raises(UserError, match="is not there"):
        QdrantGallery(client, "nothing")
    write_index(both, tmp_path / "both", scenes, "test")
    with pytest.raises(UserError, match="the score of an ensemble is no product"):
        send(Index.open(tmp_path / "both"), client, "both")


def test_the_command_writes_a_folder_that_the_client_opens(
    scenes: Path, camera: Retriever, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [CAMERA, "--data", str(scenes), "--out", str(tmp_path / "index"), "--to", "qdrant"]
    assert index_command.main([*command, "--at", str(tmp_path / "store"), "--collection", "scenes"]) == 0
    assert "12 images in collection scenes" in capsys.readouterr().out
    client = connected(str(tmp_path / "store"))
    queries = camera.encode_captions(SENTENCES)
    rows = QdrantGallery(client, "scenes").search(queries).rows
    with pytest.raises(UserError, match="already accessed"):
        connected(str(tmp_path / "store"))
    client.close()
    assert torch.equal(rows, Index.open(tmp_path / "index").search(queries).rows)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "qdrant"], "--at"),
        (["--at", "x"], "--to qdrant"),
        (["--to", "qdrant", "--at", "http://127.0.0.1:1"], "not to be reached"),
    ],
)
def test_wrong_calls_are_one_line(
    words: list[str], message: str, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(RUNS / "camera"), "--data", str(scenes), "--out", str(tmp_path / "index"), *words]
    assert index_command.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
