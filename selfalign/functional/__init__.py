"""Pure functions of tensors: similarities, ranks, norms, masks, Sinkhorn-Knopp. None holds state or knows a setting.

Others may use what is named here; what begins with an underscore is a file's own.
"""

from selfalign.functional.answers import Answers, best_answers
from selfalign.functional.box_average import box_averages
from selfalign.functional.lists import AnswerLists, answer_lists
from selfalign.functional.masking import RealRows, real_rows
from selfalign.functional.normalize import l2_normalize
from selfalign.functional.overlap import box_overlaps, distinct_boxes
from selfalign.functional.ranks import Tile, embedding_tile, full_similarity, mean_tile, retrieval_ranks
from selfalign.functional.search import Hits, first_answers
from selfalign.functional.similarity import joint_embeddings, multi_view_similarity, pair_similarity
from selfalign.functional.sinkhorn import sinkhorn

__all__ = [
    "AnswerLists",
    "Answers",
    "Hits",
    "RealRows",
    "Tile",
    "answer_lists",
    "best_answers",
    "box_averages",
    "box_overlaps",
    "distinct_boxes",
    "embedding_tile",
    "first_answers",
    "full_similarity",
    "joint_embeddings",
    "l2_normalize",
    "mean_tile",
    "multi_view_similarity",
    "pair_similarity",
    "real_rows",
    "retrieval_ranks",
    "sinkhorn",
]
