"""Check b: vectors and token ids of all-MiniLM-L6-v2."""

import json

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

BOUND = 1e-4


def check(table, train, folder, text, root):
    lines = root / "lines.txt"
    lines.write_text("\n".join(text) + "\n")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    longest = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    # The file says how texts were cut for training; both sides take the length of the model.
    encode = dict(truncation=True, max_length=longest, padding=False)
    ids = [tokenizer(line, **encode)["input_ids"] for line in text]

    ours = train.lines("tokenizer", "encode", folder / "tokenizer.json", lines,
                       "--max-len", longest, cwd=root)
    ours = [line["ids"] for line in ours]
    other = sum(a != b for a, b in zip(ours, ids)) + abs(len(ours) - len(ids))
    table.add(f"token ids of {len(text)} lines, lines that differ", "MiniLM", other, 0)

    got = [line["vector"] for line in train.lines("embed", folder, lines, "-q", cwd=root)]
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        want = [model(input_ids=torch.tensor([x])).last_hidden_state[0].mean(0) for x in ids]
    want = np.stack([(x / x.norm()).numpy() for x in want])
    far = np.inf if len(got) != len(want) else np.abs(np.asarray(got) - want).max()
    cut = sum(len(x) == longest for x in ids)
    table.add(f"vectors of {len(text)} lines, {cut} of them {longest} tokens long", "MiniLM", far, BOUND)
