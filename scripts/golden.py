#!/usr/bin/env python3
"""Golden values: what PyTorch computes, for the Rust tests to compare with.

    python scripts/golden.py           # write the files
    python scripts/golden.py --check   # recompute, and compare with the files

Needs torch==2.11.0, safetensors and numpy. Writes small safetensors files under
crates/kernels/tests/golden/ and crates/models/tests/golden/.

Inputs are drawn from a fixed seed and rounded to f32; everything is computed in
f64 and rounded to f32 once, so that the values depend on PyTorch's definitions
and not on its kernels or this machine. In each file `case.y` is a result,
`case.dx` the gradient by `x` of sum(y * dy), and what has no case is an input.
In the files of the models a parameter has its own name, `grad.` before it is the
gradient of `loss`.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent / "crates"
IGNORED = 2**32 - 1  # an ignored target; PyTorch calls it -100
EPS = 1e-5  # of a norm
TOLERANCE = 1e-6  # of --check, relative above one and absolute below


class Draw:
    """Standard normal tensors from one seed, exactly representable in f32."""

    def __init__(self, seed):
        self.rng = np.random.Generator(np.random.PCG64(seed))

    def __call__(self, *shape, scale=1.0, shift=0.0):
        x = self.rng.standard_normal(shape) * scale + shift
        return torch.from_numpy(x.astype(np.float32).astype(np.float64))

    def ids(self, n, below):
        return torch.from_numpy(self.rng.integers(0, below, n))


def with_grads(case, f, dy, **inputs):
    """`case.y`, the value of `f` at `inputs`, in their order, and `case.d…` of each."""
    leaves = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    y = f(*leaves.values())
    y.backward(dy)
    grads = {f"{case}.d{name}": x.grad for name, x in leaves.items()}
    return {f"{case}.y": y, **grads}


def linear():
    draw = Draw(1)
    x, w, bias, residual, dy = draw(5, 6), draw(4, 6), draw(4), draw(5, 4), draw(5, 4)
    out = {"x": x, "w": w, "bias": bias, "residual": residual, "dy": dy}
    out |= with_grads("without_bias", F.linear, dy, x=x, w=w)
    activations = {
        "identity": lambda x: x,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "gelu_erf": F.gelu,
        "silu": F.silu,
        "relu": F.relu,
    }
    for name, f in activations.items():
        out |= with_grads(
            name,
            lambda x, w, bias, residual: f(F.linear(x, w, bias)) + residual,
            dy,
            x=x, w=w, bias=bias, residual=residual,
        )
    return out


def activation():
    x = torch.linspace(-6, 6, 49, dtype=torch.float64)
    draw = Draw(2)
    up, dy = draw(49), draw(49)
    out = {"x": x, "up": up, "dy": dy}
    out |= with_grads("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), dy, x=x)
    out |= with_grads("gelu_erf", F.gelu, dy, x=x)
    out |= with_grads("silu", F.silu, dy, x=x)
    out |= with_grads("relu", F.relu, dy, x=x)
    out |= with_grads("swiglu", lambda x, up: F.silu(x) * up, dy, x=x, up=up)
    return out


def norm():
    draw = Draw(3)
    n, d = 4, 10
    x, residual, dy = draw(n, d, scale=2.0, shift=0.5), draw(n, d), draw(n, d)
    gamma, beta = draw(d, scale=0.3, shift=1.0), draw(d)
    layer = lambda x, gamma, beta=None: F.layer_norm(x, (d,), gamma, beta, EPS)
    rms = lambda x, gamma: F.rms_norm(x, (d,), gamma, EPS)
    out = {"x": x, "residual": residual, "gamma": gamma, "beta": beta, "dy": dy}
    out |= with_grads("layer", layer, dy, x=x, gamma=gamma, beta=beta)
    out |= with_grads("layer_without_beta", layer, dy, x=x, gamma=gamma)
    out |= with_grads(
        "layer_of_sum",
        lambda x, residual, gamma, beta: layer(x + residual, gamma, beta),
        dy,
        x=x, residual=residual, gamma=gamma, beta=beta,
    )
    out |= with_grads("rms", rms, dy, x=x, gamma=gamma)
    out |= with_grads(
        "rms_of_sum",
        lambda x, residual, gamma: rms(x + residual, gamma),
        dy,
        x=x, residual=residual, gamma=gamma,
    )
    return out


def rotate_half(x):
    """The convention of Hugging Face's Llama: channel i pairs with i + d/2."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def rotary(x, positions, theta=10_000.0):
    """`x`: [heads, n, head_dim]"""
    head_dim = x.shape[-1]
    frequency = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angle = positions[:, None].double() * frequency
    angle = torch.cat((angle, angle), dim=-1)
    return x * angle.cos() + rotate_half(x) * angle.sin()


def alibi_slopes(n_heads):
    """Of a power of two of heads."""
    return torch.tensor([2.0 ** (-8.0 * (h + 1) / n_heads) for h in range(n_heads)], dtype=torch.float64)


def packed(lengths):
    """Segment of each row, and position of each row within its segment."""
    segment = torch.cat([torch.full((n,), i) for i, n in enumerate(lengths)])
    position = torch.cat([torch.arange(n) for n in lengths])
    return segment, position


def allowed(pattern, lengths):
    """[n, n], true where the row may read the column."""
    segment, position = packed(lengths)
    i, j = position[:, None], position[None, :]
    same = segment[:, None] == segment[None, :]
    match pattern:
        case "full":
            return same
        case "causal":
            return same & (j <= i)
        case ("band", left, right):
            return same & (j >= i - left) & (j <= i + right)
        case ("chunk", size, left):
            return same & (j // size <= i // size) & (j // size >= i // size - left)


def attend(q, k, v, n_heads, n_kv_heads, mask, bias=None, positions=None):
    """Packed [n, heads * head_dim] in and out, by PyTorch's own attention."""
    heads = lambda x, n: x.unflatten(-1, (n, -1)).transpose(0, 1)
    q, k, v = heads(q, n_heads), heads(k, n_kv_heads), heads(v, n_kv_heads)
    if positions is not None:
        q, k = rotary(q, positions), rotary(k, positions)
    if bias is not None:
        mask = bias.masked_fill(~mask, -math.inf)
    y = F.scaled_dot_product_attention(
        q[None], k[None], v[None], attn_mask=mask, enable_gqa=n_heads != n_kv_heads
    )
    return y[0].transpose(0, 1).flatten(1)


def attention():
    draw = Draw(4)
    lengths, n_heads, n_kv_heads, head_dim = [5, 1, 7], 4, 2, 8
    n = sum(lengths)
    q, k, v = draw(n, n_heads * head_dim), draw(n, n_kv_heads * head_dim), draw(n, n_kv_heads * head_dim)
    dy = draw(n, n_heads * head_dim)
    _, positions = packed(lengths)
    bucket = positions[:, None] - positions[None, :] + max(lengths) - 1
    table = draw(n_heads, 2 * max(lengths) - 1)
    slopes = alibi_slopes(n_heads)[:, None, None]
    alibi = -slopes * (bucket - max(lengths) + 1).abs().double()
    out = {"q": q, "k": k, "v": v, "dy": dy, "table": table, "cu_seqlens": torch.tensor([0, 5, 6, 13])}

    def case(name, pattern, **options):
        mask = allowed(pattern, lengths)
        f = lambda q, k, v: attend(q, k, v, n_heads, n_kv_heads, mask, **options)
        out.update(with_grads(name, f, dy, q=q, k=k, v=v))

    case("full", "full")
    case("causal", "causal")
    case("band", ("band", 2, 1))
    case("chunk", ("chunk", 3, 1))
    case("causal_rotary", "causal", positions=positions)
    case("causal_alibi", "causal", bias=alibi)
    mask = allowed("full", lengths)
    relative = lambda q, k, v, table: attend(q, k, v, n_heads, n_kv_heads, mask, table[:, bucket])
    return out | with_grads("full_relative", relative, dy, q=q, k=k, v=v, table=table)


def edges():
    """Attention along edges, as PyTorch Geometric's TransformerConv and GATConv do it:
    rows gathered, softmax by destination, sums scattered."""
    draw = Draw(11)
    n, n_heads, head_dim, n_kinds = 7, 4, 8, 3
    # Row 2 reads nothing, row 6 is not read, row 0 reads itself and all but row 6.
    pairs = [(0, j) for j in range(6)] + [(1, 0), (3, 1), (3, 2), (4, 5), (5, 4), (5, 5), (6, 3)]
    to, source = torch.tensor(pairs).T
    n_edges = len(pairs)
    offsets = torch.tensor([0] + [(to == i).sum() for i in range(n)]).cumsum(0)
    width = n_heads * head_dim
    q, k, v, dy, features = (draw(rows, width) for rows in (n, n, n, n, n_edges))
    table, kinds = draw(n_heads, n_kinds), draw.ids(n_edges, n_kinds)
    a_to, a_from = draw(n, n_heads), draw(n, n_heads)
    heads = lambda x: x.unflatten(-1, (n_heads, head_dim))

    def mix(scores, values):
        weights = torch.cat([scores[to == i].softmax(0) for i in range(n)])
        zeros = torch.zeros(n, n_heads, head_dim, dtype=torch.float64)
        return zeros.index_add(0, to, weights[..., None] * values).flatten(1)

    def dot(q, k, v, features=None, table=None):
        keys, values = heads(k)[source], heads(v)[source]
        if features is not None:
            keys, values = keys + heads(features), values + heads(features)
        scores = (heads(q)[to] * keys).sum(-1) / math.sqrt(head_dim)
        return mix(scores if table is None else scores + table[:, kinds].T, values)

    def gat(x, to_, from_):
        return mix(F.leaky_relu(to_[to] + from_[source], 0.2), heads(x)[source])

    out = {"q": q, "k": k, "v": v, "dy": dy, "features": features, "table": table}
    out |= {"kinds": kinds, "to": a_to, "from": a_from, "offsets": offsets, "sources": source}
    out |= with_grads("plain", dot, dy, q=q, k=k, v=v)
    out |= with_grads("features", dot, dy, q=q, k=k, v=v, features=features)
    by_kind = lambda q, k, v, table: dot(q, k, v, table=table)
    out |= with_grads("kinds", by_kind, dy, q=q, k=k, v=v, table=table)
    return out | with_grads("gat", gat, dy, v=v, to=a_to, **{"from": a_from})


def cross_entropy():
    draw = Draw(5)
    n, d, classes = 7, 6, 9
    x, w, bias = draw(n, d), draw(classes, d), draw(classes)
    targets = draw.ids(n, classes)
    some = targets.clone()
    some[[1, 4]] = -100
    out = {"x": x, "w": w, "bias": bias, "all.targets": targets, "some.targets": some}
    for case, t, smoothing in [("all", targets, 0.0), ("some", some, 0.0), ("smooth", some, 0.1)]:
        loss = lambda x, w, bias: F.cross_entropy(
            F.linear(x, w, bias), t, ignore_index=-100, label_smoothing=smoothing
        )
        out |= with_grads(case, loss, None, x=x, w=w, bias=bias)
    return out


def embedding():
    draw = Draw(6)
    ids, table = torch.tensor([3, 0, 3, 10, 7, 3]), draw(11, 4)
    dy = draw(len(ids), 4)
    return {"ids": ids, "table": table, "dy": dy} | with_grads(
        "rows", lambda table: F.embedding(ids, table), dy, table=table
    )


def optimizers():
    """Three steps on a matrix that decays and a vector that does not."""
    draw = Draw(7)
    matrix, vector = draw(4, 3), draw(5)
    steps = [(draw(4, 3, scale=s), draw(5, scale=s)) for s in (1.0, 0.05, 3.0)]
    out = {"matrix": matrix, "vector": vector}
    for i, (by_matrix, by_vector) in enumerate(steps):
        out |= {f"step{i}.dmatrix": by_matrix, f"step{i}.dvector": by_vector}

    def run(case, make, max_norm, moments):
        params = [matrix.clone().requires_grad_(), vector.clone().requires_grad_()]
        groups = [{"params": params[:1], "weight_decay": 0.1}, {"params": params[1:], "weight_decay": 0.0}]
        optimizer = make(groups)
        for i, grads in enumerate(steps):
            for p, grad in zip(params, grads):
                p.grad = grad.clone()
            norm = torch.nn.utils.clip_grad_norm_(params, max_norm)
            optimizer.step()
            out[f"{case}.step{i}.norm"] = norm
            for name, p in zip(["matrix", "vector"], params):
                out[f"{case}.step{i}.{name}"] = p.clone()
                for moment in moments:
                    out[f"{case}.step{i}.{moment}.{name}"] = optimizer.state[p][moment].clone()

    adamw = lambda groups: torch.optim.AdamW(groups, lr=0.02, betas=(0.9, 0.95), eps=1e-8)
    sgd = lambda nesterov: lambda groups: torch.optim.SGD(groups, lr=0.02, momentum=0.9, nesterov=nesterov)
    run("adamw", adamw, 1.0, ["exp_avg", "exp_avg_sq"])
    run("sgd", sgd(False), math.inf, ["momentum_buffer"])
    run("nesterov", sgd(True), math.inf, ["momentum_buffer"])
    return out


class Model:
    """A transformer over packed rows, from a table of parameters by name.

    `shape` maps each name to a shape; `draw` fills them. Written apart from the
    layers it is compared with: functions of `torch.nn.functional` only.
    """

    def __init__(self, shape, draw, lengths, mask, n_heads, n_kv_heads):
        scale = lambda name: (0.3, 1.0) if "norm" in name and name.endswith("weight") else (0.4, 0.0)
        self.params = {}
        for name, dims in shape.items():
            std, mean = scale(name)
            self.params[name] = draw(*dims, scale=std, shift=mean).requires_grad_()
        self.lengths, self.heads = lengths, (n_heads, n_kv_heads)
        self.mask = allowed(mask, lengths)
        self.positions = packed(lengths)[1]

    def linear(self, name, x):
        return F.linear(x, self.params[f"{name}.weight"], self.params.get(f"{name}.bias"))

    def layer_norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.params[f"{name}.weight"], self.params[f"{name}.bias"], EPS)

    def rms_norm(self, name, x):
        return F.rms_norm(x, x.shape[-1:], self.params[f"{name}.weight"], EPS)

    def attention(self, name, x, positions=None, norm_heads=False):
        q, k, v = (self.linear(f"{name}.w{c}", x) for c in "qkv")
        if norm_heads:
            by_head = lambda part, x, n: self.rms_norm(f"{name}.{part}", x.unflatten(-1, (n, -1))).flatten(1)
            q, k = by_head("q_norm", q, self.heads[0]), by_head("k_norm", k, self.heads[1])
        y = attend(q, k, v, *self.heads, self.mask, positions=positions)
        return self.linear(f"{name}.wo", y)

    def result(self, ids, targets, logits):
        loss = F.cross_entropy(logits, targets, ignore_index=-100)
        loss.backward()
        grads = {f"grad.{name}": x.grad for name, x in self.params.items()}
        walls = torch.tensor([0] + self.lengths).cumsum(0)
        batch = {"ids": ids, "cu_seqlens": walls, "targets": targets}
        return self.params | grads | batch | {"logits": logits, "loss": loss}


def linear_shape(name, d_out, d_in, bias=True):
    return {f"{name}.weight": (d_out, d_in)} | ({f"{name}.bias": (d_out,)} if bias else {})


def norm_shape(name, d, bias=True):
    return {f"{name}.weight": (d,)} | ({f"{name}.bias": (d,)} if bias else {})


def block_shape(i, d, d_kv, d_ff, bias=True, gate=False, head_norm=None):
    name = f"blocks.{i}"
    shape = norm_shape(f"{name}.attn_norm", d, bias) | norm_shape(f"{name}.mlp_norm", d, bias)
    for c, width in [("q", d), ("k", d_kv), ("v", d_kv), ("o", d)]:
        shape |= linear_shape(f"{name}.attn.w{c}", width, d, bias)
    if head_norm:
        shape |= norm_shape(f"{name}.attn.q_norm", head_norm, False)
        shape |= norm_shape(f"{name}.attn.k_norm", head_norm, False)
    for part in ["up", "gate"] if gate else ["up"]:
        shape |= linear_shape(f"{name}.mlp.{part}", d_ff, d, bias)
    return shape | linear_shape(f"{name}.mlp.down", d, d_ff, bias)


def next_token(ids, lengths):
    """The token after each; none after the last of a segment."""
    targets = torch.cat((ids[1:], ids[:1]))
    targets[torch.tensor(lengths).cumsum(0) - 1] = -100
    return targets


def gpt():
    """GPT-2's layers: learnt positions, norm first, tanh GELU, tied head."""
    draw, d, d_ff, vocab, lengths = Draw(8), 16, 32, 13, [8, 6]
    shape = {"embed.weight": (vocab, d), "position.weight": (8, d)} | norm_shape("norm", d)
    for i in range(2):
        shape |= block_shape(i, d, d, d_ff)
    model = Model(shape, draw, lengths, "causal", 2, 2)
    ids = draw.ids(sum(lengths), vocab)
    targets = next_token(ids, lengths)

    x = F.embedding(ids, model.params["embed.weight"])
    x = x + F.embedding(model.positions, model.params["position.weight"])
    for i in range(2):
        x = x + model.attention(f"blocks.{i}.attn", model.layer_norm(f"blocks.{i}.attn_norm", x))
        inner = model.linear(f"blocks.{i}.mlp.up", model.layer_norm(f"blocks.{i}.mlp_norm", x))
        x = x + model.linear(f"blocks.{i}.mlp.down", F.gelu(inner, approximate="tanh"))
    logits = F.linear(model.layer_norm("norm", x), model.params["embed.weight"])
    return model.result(ids, targets, logits)


def llama():
    """Llama's layers, with Qwen 3's norm of queries and keys: rotary, RMS norm,
    SwiGLU, grouped heads, no biases, a head of its own."""
    draw, d, d_ff, vocab, lengths = Draw(9), 16, 24, 13, [8, 6]
    shape = {"embed.weight": (vocab, d), "head.weight": (vocab, d)} | norm_shape("norm", d, False)
    for i in range(2):
        shape |= block_shape(i, d, d // 2, d_ff, bias=False, gate=True, head_norm=4)
    model = Model(shape, draw, lengths, "causal", 4, 2)
    ids = draw.ids(sum(lengths), vocab)
    targets = next_token(ids, lengths)

    x = F.embedding(ids, model.params["embed.weight"])
    for i in range(2):
        inner = model.rms_norm(f"blocks.{i}.attn_norm", x)
        x = x + model.attention(f"blocks.{i}.attn", inner, positions=model.positions, norm_heads=True)
        inner = model.rms_norm(f"blocks.{i}.mlp_norm", x)
        inner = F.silu(model.linear(f"blocks.{i}.mlp.gate", inner)) * model.linear(f"blocks.{i}.mlp.up", inner)
        x = x + model.linear(f"blocks.{i}.mlp.down", inner)
    logits = model.linear("head", model.rms_norm("norm", x))
    return model.result(ids, targets, logits)


def classifier():
    """The encoder of Vaswani et al.: sinusoids, norm last, every token reads every
    other, with GELU; the mean of a text is classified."""
    draw, d, d_ff, vocab, lengths, n_classes = Draw(10), 16, 32, 13, [5, 1, 7], 3
    shape = {"embed.weight": (vocab, d)} | linear_shape("head", n_classes, d)
    for i in range(2):
        shape |= block_shape(i, d, d, d_ff)
    model = Model(shape, draw, lengths, "full", 2, 2)
    ids, targets = draw.ids(sum(lengths), vocab), draw.ids(len(lengths), n_classes)

    frequency = 10_000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = model.positions[:, None].double() * frequency
    x = F.embedding(ids, model.params["embed.weight"]) + torch.stack((angle.sin(), angle.cos()), -1).flatten(1)
    for i in range(2):
        x = model.layer_norm(f"blocks.{i}.attn_norm", x + model.attention(f"blocks.{i}.attn", x))
        inner = F.gelu(model.linear(f"blocks.{i}.mlp.up", x))
        x = model.layer_norm(f"blocks.{i}.mlp_norm", x + model.linear(f"blocks.{i}.mlp.down", inner))
    pooled = torch.stack([text.mean(0) for text in x.split(lengths)])
    logits = model.linear("head", pooled)
    return model.result(ids, targets, logits)


def recurrent():
    draw = Draw(11)
    d_in, d = 3, 4
    lengths = [3, 1, 5]
    n, ends = sum(lengths), np.cumsum(lengths)
    x, dy = draw(n, d_in), draw(n, d)
    out = {"x": x, "dy": dy, "walls": torch.tensor([0, *ends])}
    for name, parts, cell in [("gru", 3, torch.nn.GRU), ("lstm", 4, torch.nn.LSTM)]:
        weights = {
            f"{name}_w_input": draw(parts * d, d_in, scale=0.6),
            f"{name}_w_state": draw(parts * d, d, scale=0.5),
            f"{name}_b_input": draw(parts * d, scale=0.3),
            f"{name}_b_state": draw(parts * d, scale=0.3),
        }
        out |= weights
        layer = cell(d_in, d).double()
        names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]

        def states(x, *weights, backward=False):
            parameters = dict(zip(names, weights))
            flip = lambda x: x.flip(0) if backward else x
            run = lambda x: torch.func.functional_call(layer, parameters, (flip(x),))[0]
            return torch.cat([flip(run(part)) for part in x.split(lengths)])

        short = {key.removeprefix(f"{name}_"): value for key, value in weights.items()}
        out |= with_grads(f"{name}_forward", states, dy, x=x, **short)
        out |= with_grads(
            f"{name}_backward", lambda *args: states(*args, backward=True), dy, x=x, **short
        )
    return out


def ctc():
    draw = Draw(12)
    n_symbols, frames, labels = 5, [7, 4, 9], [[1, 1, 3], [], [4, 2, 4, 4]]
    logits = draw(sum(frames), n_symbols, scale=2.0)
    blank = 0

    def loss(logits):
        padded = torch.nn.utils.rnn.pad_sequence(logits.split(frames))
        return F.ctc_loss(
            padded.log_softmax(-1),
            torch.tensor(sum(labels, [])),
            torch.tensor(frames),
            torch.tensor([len(l) for l in labels]),
            blank=blank,
            reduction="sum",
        )

    return {
        "logits": logits,
        "walls": torch.tensor([0, *np.cumsum(frames)]),
        "labels": torch.tensor(sum(labels, [])),
        "ends": torch.tensor(np.cumsum([len(l) for l in labels])),
    } | with_grads("sum", loss, torch.tensor(1.0, dtype=torch.float64), logits=logits)


def windows():
    """Rows of sequences and pixels; a weight is [out, position, channel] here."""
    draw = Draw(13)
    d, out_channels, lengths = 3, 4, [6, 2, 5]
    x, w, bias = draw(sum(lengths), d), draw(out_channels, 3 * d), draw(out_channels)
    out = {"x": x, "w": w, "bias": bias, "walls": torch.tensor([0, *np.cumsum(lengths)])}

    def conv1d(x, w, bias, stride):
        w = w.reshape(out_channels, 3, d).permute(0, 2, 1)
        parts = [F.conv1d(part.T[None], w, bias, stride, padding=1)[0].T for part in x.split(lengths)]
        return torch.cat(parts)

    for stride in [1, 2]:
        rows = conv1d(x, w, bias, stride).shape[0]
        dy = draw(rows, out_channels)
        out[f"conv1d_{stride}.dy"] = dy
        f = lambda x, w, bias: conv1d(x, w, bias, stride)
        out |= with_grads(f"conv1d_{stride}", f, dy, x=x, w=w, bias=bias)

    n, height, width = 2, 5, 4
    image, kernel = draw(n * height * width, d), draw(out_channels, 9 * d)
    out |= {"image": image, "kernel": kernel}
    maps = lambda image: image.reshape(n, height, width, d).permute(0, 3, 1, 2)
    rows = lambda maps: maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])

    def conv2d(image, kernel, bias):
        kernel = kernel.reshape(out_channels, 3, 3, d).permute(0, 3, 1, 2)
        return rows(F.conv2d(maps(image), kernel, bias, stride=(2, 1), padding=1))

    cases = {
        "conv2d": (conv2d, {"image": image, "kernel": kernel, "bias": bias}),
        "max": (lambda image: rows(F.max_pool2d(maps(image), 2)), {"image": image}),
        "mean": (
            lambda image: rows(F.avg_pool2d(maps(image), 3, 1, 1, count_include_pad=False)),
            {"image": image},
        ),
    }
    for case, (f, inputs) in cases.items():
        dy = draw(*f(*inputs.values()).shape)
        out |= {f"{case}.dy": dy} | with_grads(case, f, dy, **inputs)
    return out


FILES = {
    "kernels/tests/golden/linear": linear,
    "kernels/tests/golden/activation": activation,
    "kernels/tests/golden/norm": norm,
    "kernels/tests/golden/attention": attention,
    "kernels/tests/golden/edges": edges,
    "kernels/tests/golden/cross_entropy": cross_entropy,
    "kernels/tests/golden/embedding": embedding,
    "kernels/tests/golden/optimizers": optimizers,
    "kernels/tests/golden/recurrent": recurrent,
    "kernels/tests/golden/ctc": ctc,
    "kernels/tests/golden/windows": windows,
    "models/tests/golden/gpt": gpt,
    "models/tests/golden/llama": llama,
    "models/tests/golden/classifier": classifier,
}


def stored(x):
    """As it lies in the file: f32, or u32 for ids and targets."""
    x = x.detach()
    if x.is_floating_point():
        return x.numpy().astype(np.float32, order="C")
    return np.where(x.numpy() == -100, IGNORED, x.numpy()).astype(np.uint32)


def difference(got, want):
    """Why two files are not the same, or None."""
    if got.keys() != want.keys():
        return f"names differ: {sorted(got.keys() ^ want.keys())}"
    for name in got:
        a, b = got[name], want[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{name}: {a.dtype}{a.shape} here, {b.dtype}{b.shape} in the file"
        a, b = a.astype(np.float64), b.astype(np.float64)
        error = np.max(np.abs(a - b) / np.maximum(np.abs(b), 1.0), initial=0.0)
        if not error <= TOLERANCE:
            return f"{name}: differs by {error:.1e}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    args = parser.parse_args()
    torch.set_num_threads(1)
    failed = 0
    for name, make in FILES.items():
        path = ROOT / f"{name}.safetensors"
        tensors = {key: stored(x) for key, x in make().items()}
        if args.check:
            found = difference(tensors, load_file(path)) if path.exists() else "there is no such file"
            failed += found is not None
            print(f"{path.relative_to(ROOT.parent)}: {found or 'as recomputed'}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, path, metadata={"made_by": f"scripts/golden.py, torch {torch.__version__.split('+')[0]}"})
            print(f"{path.relative_to(ROOT.parent)}: {path.stat().st_size} bytes")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
