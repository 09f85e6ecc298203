"""A gallery that outgrows one machine, in Qdrant: its multi-vectors with the largest product are our similarity."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from selfalign.errors import UserError
from selfalign.files.regular_files import read_regular
from selfalign.functional.search import Hits
from selfalign.functional.similarity import joint_caption, joint_image
from selfalign.gallery.index import Index
from selfalign.gallery.record import NAME
from selfalign.runs.embeddings import Embeddings
from selfalign.structures import CaptionEmbedding, ImageEmbedding

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

KEY = "QDRANT_API_KEY"
_VALUES = 2**20
"""Numbers of a request: some ten megabytes."""
_LARGEST = 2**30


def connected(address: str) -> QdrantClient:
    """A client of a server (``http://…``, ``https://…``), or of the client's own store in a local folder.

    Raises:
        UserError: if qdrant-client is not installed, the server does not answer, or another process has the folder.
    """
    client = _library().QdrantClient
    with _told(f"qdrant {address}"):
        if address.startswith(("http://", "https://")):
            found = client(url=address, api_key=os.environ.get(KEY), timeout=60, check_compatibility=False)
            found.get_collections()
            return found
        return client(path=str(Path(address).expanduser()))


def send(index: Index, client: QdrantClient, collection: str, say: Callable[[str], None] = lambda line: None) -> None:
    """Put the images of an index into a collection, or go on with it.

    A point has the row of its image as id, its views (with the context parts, see
    :func:`selfalign.functional.similarity.joint_image`) as multi-vector, and ``row``, ``id``, ``file``, ``captions``,
    ``model`` and ``index`` as payload.

    Raises:
        UserError: of an ensemble, whose score is no product of two vectors, or if the collection is of something else.
    """
    if len(index.record.identities) > 1:
        raise UserError("--to qdrant: expected one model; the score of an ensemble is no product of two vectors")
    own = hashlib.sha256(read_regular(index.folder / NAME, "index", _LARGEST)).hexdigest()
    with _told(f"qdrant collection {collection}"):
        done = _begun(index, client, collection, own)
        if done == index.record.images:
            say(f"collection {collection}: is complete already")
        elif done:
            say(f"goes on with collection {collection} after {done:,} images")
        start = 0
        for part in index.parts("images"):
            image = part.parts[0]
            assert isinstance(image, ImageEmbedding)
            vectors = joint_image(image)
            step = max(1, _VALUES // vectors[0].numel())
            for first in range(0, len(part), step):
                rows = range(start + first, start + min(first + step, len(part)))
                if rows.stop > done:
                    client.upsert(collection, _points(index, rows, vectors[first : first + step], own), wait=True)
            start += len(part)


class QdrantGallery:
    """A collection that :func:`send` filled, as something to search.

    Args:
        client: of it.
        collection: its name.

    Raises:
        UserError: if it is not there, or was not filled by this package.
    """

    def __init__(self, client: QdrantClient, collection: str) -> None:
        self._client, self._collection = client, collection
        with _told(f"qdrant collection {collection}"):
            self.identity = _payload(client, collection).get("model")

    def search(self, queries: Embeddings, top: int = 5, *, exact: bool = True) -> Hits:
        """The best images of every caption.

        Args:
            queries: captions.
            top: K answers a query.
            exact: look at all vectors; ``False`` trusts the server's own approximate index.

        Returns:
            as :meth:`selfalign.gallery.index.Index.search`; of equal scores the first row comes first.

        Raises:
            UserError: if the queries are images, or another model encoded them.
        """
        models = _library().models
        caption = queries.parts[0]
        if not isinstance(caption, CaptionEmbedding):
            raise UserError("search: a collection finds images for sentences")
        if queries.models != (self.identity,):
            raise UserError(f"qdrant collection {self._collection}: made by another model than the queries")
        # The client's local store looks at all vectors anyway, and warns of settings that it does not read.
        asked = models.SearchParams(exact=True) if exact and not _is_local(self._client) else None
        found = []
        with _told(f"qdrant collection {self._collection}"):
            for vector in joint_caption(caption):
                answer = self._client.query_points(
                    self._collection, query=[vector.tolist()], limit=top, search_params=asked, with_payload=False
                )
                found.append(sorted((-point.score, int(point.id)) for point in answer.points))
        rows = torch.tensor([[row for _, row in one] for one in found], dtype=torch.int64)
        return Hits(rows, torch.tensor([[-score for score, _ in one] for one in found], dtype=torch.float32))


def _begun(index: Index, client: QdrantClient, collection: str, own: str) -> int:
    """The images that are there already, in a collection that is made where it is missing."""
    models = _library().models
    if not client.collection_exists(collection):
        image = next(index.parts("images")).parts[0]
        assert isinstance(image, ImageEmbedding)
        client.create_collection(
            collection,
            vectors_config=models.VectorParams(
                size=joint_image(image).shape[-1],
                distance=models.Distance.DOT,
                on_disk=True,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            ),
        )
        return 0
    there = client.count(collection, exact=True).count
    if there and _payload(client, collection).get("index") != own:
        raise UserError(f"qdrant collection {collection}: holds another index; choose another --collection")
    return int(there)


def _payload(client: QdrantClient, collection: str) -> dict[str, Any]:
    """What the first image says."""
    if not client.collection_exists(collection):
        raise UserError(f"qdrant collection {collection}: is not there; selfalign index --to qdrant makes it")
    first = client.retrieve(collection, [0], with_payload=True)
    return dict(first[0].payload or {}) if first else {}


def _points(index: Index, rows: range, vectors: torch.Tensor, own: str) -> list[Any]:
    models, found = _library().models, []
    for row, vector in zip(rows, vectors, strict=True):
        image = index.image(row)
        captions = [index.captions[caption] for caption in image.captions]
        payload = {"row": row, "id": image.id, "file": image.name, "captions": captions}
        payload |= {"model": index.record.identities[0], "index": own}
        found.append(models.PointStruct(id=row, vector=vector.tolist(), payload=payload))
    return found


def _is_local(client: QdrantClient) -> bool:
    return type(client._client).__name__ == "QdrantLocal"


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Faults of the client, the network and the server in one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the client and its libraries raise a dozen types
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"{what}: refused or not to be reached ({reason})") from error


def _library() -> Any:
    try:
        import qdrant_client
    except ImportError as error:
        raise UserError("--to qdrant: qdrant-client is not installed; pip install 'selfalign[qdrant]'") from error
    return qdrant_client
