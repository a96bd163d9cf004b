"""Small model folders, and changes that damage one: values, headers, bytes and kinds of files."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storm_models.families.architecture import tensor_shapes
from storm_models.folder.header import new_layout

SIZES = {
    "vocab_size": 12,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"rope_scaling": None, "attention_bias": False, "head_dim": 4},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 1, "sliding_window": 16},
    "gemma2": {"head_dim": 4, "query_pre_attn_scalar": 4, "sliding_window": 16},
    "gemma3_text": {"head_dim": 4, "rope_local_base_freq": 1e4, "sliding_window_pattern": 2},
    "phi3": {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
    "mixtral": {"num_local_experts": 2},
}
ODD: list[Callable[[], Any]] = [
    lambda: None,
    lambda: True,
    lambda: 0,
    lambda: -1,
    lambda: 3,
    lambda: 10**7,
    lambda: 10**30,
    lambda: 2**63,
    lambda: 1.5,
    lambda: 1e308,
    lambda: float("inf"),
    lambda: float("nan"),
    lambda: "",
    lambda: "32",
    lambda: "../../etc/passwd",
    lambda: "\ud800\0\n[red]",
    lambda: [],
    lambda: [None],
    lambda: [1, "x", [2]],
    lambda: ["full_attention"] * 3,
    lambda: {},
    lambda: {"a": {"b": None}},
    lambda: {"full_attention": {"rope_theta": "x"}, "other": 3},
    lambda: nested(300),
    lambda: nested(900),
]
TEXTS = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b"[" * 200_000,
    b'{"a":' * 100_000,
    b'{"vocab_size": ' + b"9" * 6000 + b"}",
    b"\0" * 100,
    b'{"model_type": "llama", "model_type": 3}',
]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def write_folder(folder: Path, family: str) -> None:
    """Write a model with zeros for weights, without torch: one file, or for qwen2 two shards."""
    config = {"model_type": family, **SIZES, "architectures": ["XForCausalLM"], **FAMILIES[family]}
    config |= {"eos_token_id": 1, "pad_token_id": 0, "torch_dtype": "float16"}
    shapes = tensor_shapes(config) or {"model.embed_tokens.weight": (12, 8), "x.weight": (3,)}
    folder.mkdir(parents=True)
    parts = [shapes] if family != "qwen2" else [dict(list(shapes.items())[i::2]) for i in range(2)]
    names = ["model.safetensors"] if len(parts) == 1 else ["a.safetensors", "b.safetensors"]
    for name, part in zip(names, parts, strict=True):
        beginning, entries = new_layout({tensor: ("F16", shape) for tensor, shape in part.items()})
        size = max(entry["data_offsets"][1] for entry in entries.values())
        (folder / name).write_bytes(beginning + bytes(size))
    if len(parts) > 1:
        places = {tensor: name for name, part in zip(names, parts, strict=True) for tensor in part}
        write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": places})
    write_json(folder / "config.json", config)
    vocabulary = {f"t{number}": number for number in range(10)}
    added = [{"id": 10, "content": "<x>", "special": True}, {"id": 11, "content": "<y>"}]
    model = {"type": "BPE", "vocab": vocabulary, "merges": ["t0 t1", ["t2", "t3"]]}
    write_json(folder / "tokenizer.json", {"model": model, "added_tokens": added})
    settings = {"chat_template": "{{ messages }}", "added_tokens_decoder": {"10": {"content": "x"}}}
    write_json(folder / "tokenizer_config.json", settings)
    write_json(folder / "added_tokens.json", {"<x>": 10})
    write_json(folder / "generation_config.json", {"eos_token_id": [1, 2], "temperature": 0.5})
    write_json(folder / "surgery.json", {"source_layers": [0, 0], "new_layers": [1]})


def write_json(file: Path, content: Any) -> None:
    file.write_bytes(json.dumps(content).encode("utf-8", "surrogatepass"))


def change_value(draw: random.Random, content: Any) -> Any:
    """Return the content with one value, anywhere in it, replaced, removed or added."""
    content = copy.deepcopy(content)
    place = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return draw.choice(ODD)()
        key = draw.choice(keys)
        if not isinstance(place[key], dict | list) or not place[key] or draw.random() < 0.3:
            break
        place = place[key]
    action = draw.random()
    if action < 0.1:
        del place[key]
    elif action < 0.2 and isinstance(place, dict):
        place[draw.choice(["", "auto_map", "quantization_config", "sliding_window"])] = place[key]
    else:
        place[key] = draw.choice(ODD)()
    return content


def change_json(draw: random.Random, folder: Path) -> None:
    files = [file for file in sorted(folder.glob("*.json")) if file.name != "config.json"]
    file = draw.choice([folder / "config.json"] * len(files) + files)
    write_json(file, change_value(draw, json.loads(file.read_bytes())))


def change_header(draw: random.Random, folder: Path) -> None:
    file = draw.choice(sorted(folder.glob("*.safetensors")))
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    text = json.dumps(change_value(draw, header)).encode("utf-8", "surrogatepass")
    length = draw.choice([len(text)] * 8 + [0, 1, len(text) + 5, 2**40, 2**63])
    file.write_bytes(length.to_bytes(8, "little") + text + data[8 + length :][: 10**6])


def change_offsets(draw: random.Random, folder: Path) -> None:
    file = draw.choice(sorted(folder.glob("*.safetensors")))
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    one, other = draw.sample(sorted(set(header) - {"__metadata__"}), 2)
    odd = [-1, 2**62, float("inf"), float("nan"), "0", None, 1.0, True, [], 10**400]
    draw.choice(
        [
            lambda: header[one].update(data_offsets=header[other]["data_offsets"]),
            lambda: header[one]["data_offsets"].reverse(),
            lambda: header[one]["data_offsets"].append(4),
            lambda: header[one]["data_offsets"].__setitem__(draw.randrange(2), draw.choice(odd)),
            lambda: header[one].update(shape=[draw.choice(odd)] * draw.choice([1, 2, 90])),
            lambda: header[one].update(shape=[2**40] * 2000),
            lambda: header[one].update(dtype=draw.choice(["F99", "", None, 4, "U64", ["F16"]])),
            lambda: header.update({one: draw.choice(odd)}),
        ]
    )()
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def change_bytes(draw: random.Random, folder: Path) -> None:
    file = draw.choice(sorted(folder.iterdir()))
    data = bytearray(file.read_bytes())
    action = draw.randrange(3)
    if action == 0 or not data:
        file.write_bytes(draw.choice(TEXTS))
    elif action == 1:
        file.write_bytes(data[: draw.randrange(len(data))])
    else:
        for _ in range(draw.randint(1, 20)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        file.write_bytes(data)


def change_kind(draw: random.Random, folder: Path) -> None:
    """Let a file be missing, a folder, a pipe, or a link to nothing, to itself or to elsewhere."""
    file = draw.choice(sorted(folder.iterdir()))
    file.unlink()
    draw.choice(
        [
            lambda: None,
            file.mkdir,
            lambda: os.mkfifo(file),
            lambda: file.symlink_to("nowhere"),
            lambda: file.symlink_to(file.name),
            lambda: file.symlink_to("/dev/zero"),
            lambda: file.symlink_to("/etc/hostname"),
        ]
    )()


def add_file(draw: random.Random, folder: Path) -> None:
    name = draw.choice(
        [
            "weighted_sum.json",
            "adapter_config.json",
            "model.safetensors.index.json",
            "model.safetensors",
            "vocab.json",
            "merges.txt",
            "chat_template.jinja",
            "special_tokens_map.json",
            "tokenizer.model",
            "pytorch_model.bin",
        ]
    )
    (folder / name).write_bytes(draw.choice(TEXTS))
    if draw.random() < 0.5:
        (folder / "tokenizer.json").unlink(missing_ok=True)


CHANGES = [
    *[change_json] * 8,
    *[change_header] * 3,
    *[change_offsets] * 3,
    *[change_bytes] * 4,
    *[change_kind] * 2,
    *[add_file] * 2,
]
