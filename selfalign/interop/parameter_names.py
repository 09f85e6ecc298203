"""The authors' parameter names → ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_CONTEXT = {
    "ctx_fc": "context.project",
    "ctx_fc_bn1": "context.summary_norm",
    "ctx_fc_bn2": "context.local_norm",
    "fusion_fn.0": "context.gate.0",
    "fusion_fn.2": "context.gate.2",
}
_GATED_ATTENTION = {
    "agsa.att_layers.0.linears.0": "attention.query",
    "agsa.att_layers.0.linears.1": "attention.key",
    "agsa.att_layers.0.linears.2": "attention.value",
    "agsa.att_layers.0.fc_q": "attention.gate_query",
    "agsa.att_layers.0.fc_k": "attention.gate_key",
    "agsa.att_layers.0.fc_g": "attention.gate",
    "agsa.bns.0": "attention.norm",
}
CAMERA_IMAGE = {
    "fc": "project",
    "position_enc.proj": "position",
    **_GATED_ATTENTION,
    **{f"mvs.convs_dilate.{index}": f"summary.convolutions.{index}" for index in range(7)},
    "mvs.convs_fc": "summary.score",
    **_CONTEXT,
}
CAMERA_TEXT = {
    "bert": "bert",
    "mapping": "project",
    **_GATED_ATTENTION,
    "fc1": "expand",
    "fc2": "contract",
    "bn": "norm",
    **_CONTEXT,
}
VSRN_IMAGE = {
    "fc": "project",
    "img_rnn": "rnn",
    **{
        f"Rs_GCN_{block + 1}.{theirs}": f"graph.{block}.{ours}"
        for block in range(4)
        for theirs, ours in (
            ("g", "message"),
            ("theta", "query"),
            ("phi", "key"),
            ("W.0", "output"),
            ("W.1", "output_norm"),
        )
    },
    "bn": "final_norm",
    **_CONTEXT,
}
VSRN_TEXT = {"embed": "embedding", "local_fc": "project", "rnn": "rnn", **_CONTEXT}
CAPTIONER = {
    "encoder.vid2hid": "project",
    "encoder.rnn": "region_rnn",
    "decoder.embedding": "embedding",
    "decoder.attention.linear2": "attention_score",
    "decoder.rnn": "word_rnn",
    "decoder.out": "output",
}


def rename(weights: Mapping[str, Tensor], names: Mapping[str, str]) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under our names, and the names that none of ``names`` covers.

    The longest prefix decides. 1×1 convolutions over regions become linear maps.
    """
    renamed, unknown = {}, []
    for name, values in weights.items():
        parts = name.split(".")
        prefixes = (".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))
        prefix = next((prefix for prefix in prefixes if prefix in names), None)
        if prefix is None:
            unknown.append(name)
            continue
        ours = names[prefix]
        is_map = ours.startswith("graph.") and values.ndim == 3
        renamed[ours + name[len(prefix) :]] = values.squeeze(-1) if is_map else values
    return renamed, unknown


def rename_captioner(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A captioner's weights under our names; its attention's first map acts on regions and query apart."""
    renamed, _ = rename(weights, CAPTIONER)
    both = weights["decoder.attention.linear1.weight"]  # (H, 2·H): regions, then hidden state
    hidden = both.shape[0]
    renamed["attention_key.weight"], renamed["attention_query.weight"] = both[:, :hidden], both[:, hidden:]
    renamed["attention_key.bias"] = weights["decoder.attention.linear1.bias"]
    return {
        name.removesuffix("_l0") if name.startswith("word_rnn.") else name: values for name, values in renamed.items()
    }
