"""Compares channels of hidden layers with PyTorch's, for networks whose channels lie on different axes.

    python scripts/axes_against_pytorch.py --out FOLDER                    every network of axes_networks.py
    python scripts/axes_against_pytorch.py --out FOLDER swin vit           only these
    python scripts/axes_against_pytorch.py --out FOLDER --architectures    a hundred of timm's, as they come
    python scripts/axes_against_pytorch.py --out FOLDER --run target/release/oneiro
                                                                           compares, prints a table

Needs `torch`, `torchvision`, `timm`, `onnx`, `onnxscript`, `onnxruntime` and `safetensors`.

For each network and exporter FOLDER gets `NAME.EXPORTER.onnx`, `NAME.EXPORTER.golden.safetensors` (float64, for
`oneiro check`: value and input gradient of `channel("MODULE.PATH",c)`), and an entry of `index.json`.

Which axis is the channel follows from PyTorch's classes, never from the file: a convolution, a BatchNorm, a GroupNorm or a
2-d pooling answers on axis 1; a Linear and a LayerNorm on the last; an activation function as the layer before it; a block
on the only axis as long as its last layer's features. Where two axes are that long, the module is left out.
`index.json` also lists `must_refuse`: attention maps, queries and keys of single heads, and token mixing, where no axis holds
the channels.

Every module is looked for in the file as `oneiro` does it (its last node), by ONNX Runtime; one whose tensor differs from
PyTorch's result, such as a convolution merged with its normalisation, is left out and listed in `unmatched`.
"""

import argparse
import ast
import contextlib
import copy
import io
import json
import os
import re
import signal
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from axes_networks import NETWORKS  # noqa: E402
from compare_with_pytorch import calibrate, captured, photo_like, short  # noqa: E402

OPSETS = {"legacy": 17, "dynamo": 20}
RTOL = 1e-3
CHANNEL = 2
# A tensor of the ONNX file whose relative error to a module's result is below this is taken to be that result.
SAME = 1e-3
# Limits for an architecture, in seconds and in bytes of the file; beyond them it is skipped.
LONGEST, LARGEST = 150, 400e6
# Largest error of PyTorch's float32 gradients against float64, and how many random inputs are tried to get below it.
STEADY, ATTEMPTS = 2e-4, 3
TOKENS = re.compile(r"cls_token|class_token|dist_token|reg_token|register|pos_embed|pos_embedding|position_bias")
# Modules of which an exporter leaves no node in evaluation mode.
NOTHING = ("Identity", "Dropout", "Dropout2d", "DropPath", "StochasticDepth")
# Kinds of modules in the order in which they are chosen; the first and the last module of each kind are compared.
KINDS = [
    r"^(stem|patch_embed|conv_proj|conv1|features\.0|embeddings?)(\.\w+)?$",
    r"(mlp|feed_forward|MLP)\w*\.(fc1|0)$",
    r"(mlp|feed_forward|MLP)\w*\.(act|1)$",
    r"(^|\.)(norm\w*|ln_?\w*)$",
    r"\.(qkv|q|kv)$",
    r"\.(proj|out_proj)$",
    r"(blocks|layers|stages|features|levels|network)[\w.]*\.\d+$",
    r"(downsample|reduction|pool)\w*(\.\w+)?$",
    r"\.(fc2|3)$",
]


# ---- which axis ----


def leaf_axis(module, y):
    """Returns the channel axis of a layer with weights, judged by its class; None if the class does not tell."""
    from torch import nn

    kind = type(module).__name__
    if isinstance(module, (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)):
        return 1
    if isinstance(module, (nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd)) and y.ndim == 4:
        return 1
    if re.search("Norm2d|NormAct2d", kind):
        return 1
    if kind == "GlobalResponseNorm":
        return module.channel_dim % y.ndim
    if isinstance(module, (nn.Linear, nn.LayerNorm)) or re.search("RmsNorm|RMSNorm", kind):
        return y.ndim - 1
    return None


def note_axes(net, x, spec):
    """Returns, for every module called once, `(shape, channel axis or None)`, in the order in which they return."""
    import torch
    from torch import nn

    modules = dict(net.named_modules())
    known, seen, count = {}, {}, {}
    last = {"shape": None, "axis": None, "features": None}
    keep = []

    def hook(name):
        module = modules[name]
        leaf = not any(True for _ in module.children())

        def note(_, inputs, y):
            if not torch.is_tensor(y) or not y.requires_grad:
                return
            keep.append((inputs, y))
            count[name] = count.get(name, 0) + 1
            axis = leaf_axis(module, y)
            given = inputs[0] if inputs and torch.is_tensor(inputs[0]) else None
            if re.search(spec.no_channel, name):
                axis = None
                last.update(shape=tuple(y.shape), axis=None, features=None)
            elif axis is not None:
                last.update(shape=tuple(y.shape), axis=axis, features=y.shape[axis])
            elif leaf or given is not None and given.shape == y.shape and isinstance(module, nn.Identity):
                # Activation functions and dropout keep the channel axis of their input.
                if given is not None and given.shape == y.shape:
                    if id(given) in seen:
                        axis = seen[id(given)]
                    elif last["shape"] == tuple(y.shape):
                        axis = last["axis"]
            elif last["features"]:
                fits = [a for a in range(1, y.ndim) if y.shape[a] == last["features"]]
                axis = fits[0] if len(fits) == 1 else None
            seen[id(y)] = axis
            known.pop(name, None)
            known[name] = (tuple(y.shape), axis)

        return note

    hooks = [m.register_forward_hook(hook(n)) for n, m in modules.items() if n]
    net(x.requires_grad_())
    for h in hooks:
        h.remove()
    return {n: v for n, v in known.items() if count[n] == 1 and not re.search(spec.leave, n)}


def prefix_of(shape, axis, batch, grids, prefixes):
    """Returns how many leading tokens are no patches; None if the number of tokens fits no known case."""
    if len(shape) != 3 or axis != 2:
        return 0
    tokens = shape[1]
    if shape[0] != batch or tokens in grids:
        return 0
    return next((p for p in prefixes if p and tokens - p in grids), None)


def axes_word(shape, axis):
    if axis == 1:
        return {2: "N,C", 3: "N,C,L", 4: "N,C,H,W"}.get(len(shape), "N,C,...")
    return {2: "N,C", 3: "N,tokens,C", 4: "N,H,W,C"}.get(len(shape), "N,...,C")


def channel_mean(y, axis, c, prefix):
    y = y.select(axis, c)
    return y[:, prefix:].mean() if prefix else y.mean()


def channel_of(y, axis, prefix):
    """Returns a channel whose mean is not near zero, so that relative errors are meaningful."""
    size = y.square().mean().sqrt()
    order = [CHANNEL, *(c for c in range(1, min(8, y.shape[axis])) if c != CHANNEL)]
    order = [c for c in order if c < y.shape[axis]]
    means = {c: channel_mean(y, axis, c, prefix).abs() / size for c in order}
    return next((c for c in order if means[c] > 0.2), max(order, key=means.get)) if order else 0


def as_second_axis(y, c):
    """Returns the value that a program gets if it takes axis 1 for the channels; None if it has no such index."""
    return y[:, c].mean().item() if y.ndim > 1 and c < y.shape[1] else None


# ---- files ----


def export(net, shape, exporter, path, batch):
    """Writes the ONNX file with a free batch, or with a batch of one if that fails; returns the reference's batch
    size."""
    import torch

    torch.backends.mha.set_fastpath_enabled(False)
    names = {"input_names": ["x"], "output_names": ["logits"], "opset_version": OPSETS[exporter]}

    def attempt(dynamic):
        torch.manual_seed(0)
        x = torch.randn(2 if dynamic else 1, *shape)
        if exporter == "legacy":
            axes = {"dynamic_axes": {"x": {0: "n"}, "logits": {0: "n"}}} if dynamic else {}
            torch.onnx.export(net, (x,), str(path), dynamo=False, **names, **axes)
        else:
            axes = {"dynamic_shapes": ({0: torch.export.Dim("n", min=1, max=64)},)} if dynamic else {}
            torch.onnx.export(net, (x,), str(path), dynamo=True, external_data=False, verbose=False, **names, **axes)
        return batch if dynamic else 1

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return attempt(batch > 1)
        except Exception:
            if batch == 1:
                raise
            return attempt(False)


def scopes(node):
    """Returns the paths of the modules that a node came from, outermost first."""
    for p in node.metadata_props:
        if p.key == "pkg.torch.onnx.name_scopes":
            return [s for s in ast.literal_eval(p.value)[:-1] if s]
    found = []
    for part in node.name.strip("/").split("/")[:-1]:
        if found and part.startswith(found[-1].rpartition("/")[2] + "."):
            # A container's children repeat its name: /layer1/layer1.0/conv1.
            found.append(found[-1].rpartition("/")[0] + "/" + part)
        else:
            found.append((found[-1] if found else "") + "/" + part)
    return [f.strip("/").replace("/", ".") for f in found]


def last_tensors(model):
    """Returns the name of the result of each module's last node, by the module's path."""
    found = {}
    for node in model.graph.node:
        if node.op_type != "Constant" and node.output:
            for path in scopes(node):
                found[path] = node.output[0]
    return found


def attention_tensors(model):
    """Returns attention maps, their queries and keys, and each head's output: tensors without a channel axis."""
    made = {o: n for n in model.graph.node for o in n.output}
    readers = {}
    for n in model.graph.node:
        for i in n.input:
            readers.setdefault(i, []).append(n)
    plain = ("Mul", "Add", "Div", "Cast", "Where", "Reshape", "Identity", "Sub", "Clip")
    found = []
    for node in (n for n in model.graph.node if n.op_type == "Softmax"):
        tensor, reader = node.output[0], None
        for _ in range(4):
            reader = readers.get(tensor, [None])[0]
            if reader is None or reader.op_type not in plain:
                break
            tensor = reader.output[0]
        if reader is None or reader.op_type != "MatMul":
            continue
        one = [(node.output[0], "attention map"), (reader.output[0], "one head's answer, heads apart")]
        back = node.input[0]
        for _ in range(8):
            source = made.get(back)
            if source is None or source.op_type not in plain:
                break
            back = next((i for i in source.input if i in made), None)
        if source is not None and source.op_type == "MatMul":
            one += [(source.output[0], "attention scores")]
            one += [(i, "queries or keys, heads apart") for i in source.input if i in made]
        found.append(one)
    return found


def run_file(model, x, wanted):
    """Returns tensors of the file computed by ONNX Runtime without graph optimisations."""
    import onnx
    import onnxruntime as ort

    model = copy.deepcopy(model)
    present = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(t) for t in wanted if t not in present)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = list(dict.fromkeys([*wanted, model.graph.output[0].name]))
    return dict(zip(names, session.run(names, {model.graph.input[0].name: x})))


def relative(ours, theirs):
    import numpy as np

    ours, theirs = np.asarray(ours, dtype="float64"), np.asarray(theirs, dtype="float64")
    return float(np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), 1e-300))


def spread(names, count):
    """Returns `count` elements of a list, spread from near its front to near its end."""
    at = [round((k + 0.6) * (len(names) - 1) / count) for k in range(count)]
    return list(dict.fromkeys(names[i] for i in at if names))


def choose(matched, limit, axes):
    """Returns modules of every kind, the first and the last of each; of few, half have their channels last, if any
    do."""
    names = list(matched)
    if limit < 6:
        last = spread([n for n in names if axes[n][0] != 1], limit // 2)
        return sorted(last + spread([n for n in names if axes[n][0] == 1], limit - len(last)), key=names.index)
    picked = []
    for kind in KINDS:
        some = [n for n in names if re.search(kind, n)]
        picked += [n for n in dict.fromkeys(some[:1] + some[-1:]) if n not in picked]
    picked = picked[:limit]
    for k in range(max(0, min(limit, 6) - len(picked))):
        rest = [n for n in names if n not in picked]
        if rest:
            picked.append(rest[(2 * k + 1) * len(rest) // 12 % len(rest)])
    return sorted(picked, key=names.index)


# ---- one network ----


def prepare(spec):
    """Returns the network with calibrated weights, and the shape of one input."""
    import torch

    net = spec.build().eval()
    for module in net.modules():
        if isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False
    with torch.no_grad():
        for name, p in net.named_parameters():
            if TOKENS.search(name):
                p.normal_(std=0.5)
    shape = (3, spec.side, spec.side)
    calibrate(net, shape)
    for p in net.parameters():
        p.requires_grad_(False)
    return net, shape


def make(name, spec, exporters, folder, limit=14, batch=2, picture=None):
    """Writes the files of one network; yields their entries for the index."""
    import numpy as np
    import onnx
    import torch
    from safetensors.numpy import save

    warnings.simplefilter("ignore")
    torch.manual_seed(sum(map(ord, name)))
    started = time.time()
    net, shape = prepare(spec)
    prefixes = [getattr(net, "num_prefix_tokens", 0), spec.prefix]
    known = note_axes(net, photo_like(shape, batch, 2), spec)
    patch = {n.kernel_size[0] for n in net.modules() if isinstance(n, torch.nn.Conv2d) and n.stride == n.kernel_size}
    grids = {(spec.side // s) ** 2 for s in {1, 2, 4, 8, 16, 32} | patch if spec.side // s > 1}
    layers, modules = {}, dict(net.named_modules())
    for module, (size, axis) in known.items():
        prefix = None if axis is None or len(size) < 3 else prefix_of(size, axis, batch, grids, prefixes)
        if type(modules[module]).__name__ in NOTHING:
            continue
        if prefix is not None and size[axis] > CHANNEL and int(np.prod(size)) > size[0] * size[axis]:
            layers[module] = (axis, prefix)
    net64 = copy.deepcopy(net).double()

    for exporter in exporters:
        path = folder / f"{name}.{exporter}.onnx"
        entry = {"name": name, "exporter": exporter, "onnx": path.name, "side": spec.side, "note": spec.note} | spec.extra
        try:
            n = export(net, shape, exporter, path, batch)
        except Exception as e:
            yield entry | {"status": "not exported", "message": short(e)}
            continue
        model = onnx.load(path)
        x = photo_like(shape, n, 3)
        tensors = last_tensors(model)
        present = {m: tensors[m] for m in layers if m in tensors}
        attention = [one for one in attention_tensors(model)]
        attention = [a for i, one in enumerate(attention) if i in (0, len(attention) - 1) for a in one]
        wanted = list(dict.fromkeys([*present.values(), *(t for t, _ in attention)]))
        computed = run_file(model, x.numpy(), wanted)
        with torch.no_grad():
            ours = captured(net, x, present)
        output = next(o.name for o in model.graph.output)
        same = {}
        for m, t in present.items():
            y = ours[m].numpy()
            if computed[t].shape == y.shape and relative(computed[t], y) < SAME:
                same[m] = t
        picked = choose(same, limit, layers)

        for attempt in range(ATTEMPTS):
            x = photo_like(shape, n, 3 + attempt)
            results = {}
            for kind, network, dtype in (("64", net64, torch.float64), ("32", net, torch.float32)):
                given = x.detach().clone().to(dtype).requires_grad_()
                acts = captured(network, given, picked)
                if kind == "64":
                    channels = {m: channel_of(acts[m].detach(), *layers[m]) for m in picked}
                for m in picked:
                    axis, prefix = layers[m]
                    value = channel_mean(acts[m], axis, channels[m], prefix)
                    g, = torch.autograd.grad(value, given, retain_graph=True)
                    results[m, kind] = (value.item(), g.numpy(), acts[m].detach())
                logits = acts["output"].detach().numpy()
                del acts
            errors = {m: relative(results[m, "32"][1], results[m, "64"][1]) for m in picked}
            if max(errors.values(), default=0) < STEADY:
                break

        golden, objectives, rows = {"input/x": x.numpy()}, {}, []
        for i, m in enumerate(picked):
            value, g, y = results[m, "64"]
            axis, prefix = layers[m]
            id = f"l{i}"
            objectives[id] = f'channel("{m}",{channels[m]})'
            golden[f"value/{id}"], golden[f"grad/{id}/x"] = np.array([value]), g
            plain = channel_mean(y, axis, channels[m], 0).item()
            rows.append({
                "id": id, "module": m, "tensor": same[m], "shape": list(y.shape), "axis": axis,
                "axes": axes_word(y.shape, axis), "prefix": prefix, "windows": y.shape[0] != n,
                "features": y.shape[axis], "channel": channels[m], "value": value,
                "value_if_axis_1": as_second_axis(y, channels[m]),
                "value_with_prefix": plain if prefix else None,
                "float32_gradient_error": errors[m], "rms": y.square().mean().sqrt().item(),
                "gradient_norm": float(np.linalg.norm(g)),
            })
        golden = {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in golden.items()}
        stored = folder / f"{name}.{exporter}.golden.safetensors"
        stored.write_bytes(save(golden, {"objectives": json.dumps(objectives)}))
        refuse = [{"layer": t, "why": why, "shape": list(computed[t].shape)} for t, why in dict(attention).items()
                  if computed[t].ndim >= 3 and (why == "attention map" or computed[t].shape[1] > 1)]
        mixing = [m for m in known if re.search(spec.no_channel, m) and m in tensors]
        refuse += [{"layer": m, "why": "tokens or heads, no channels", "shape": list(known[m][0])}
                   for m in dict.fromkeys(mixing[:3] + mixing[-1:]) if len(known[m][0]) != 4 or known[m][0][1] > 1]
        entry |= {
            "status": "exported", "golden": stored.name, "batch": n, "layers": rows, "must_refuse": refuse,
            "prefix_tokens": max(prefixes), "modules_matched": len(same),
            "unmatched": [m for m in layers if m not in same][:40],
            "output_error": relative(computed[output], ours["output"].numpy()),
            "steady": max(errors.values(), default=0) < STEADY,
            "bytes": path.stat().st_size, "seconds": round(time.time() - started, 1),
            "all_layers": [{"tensor": t, "module": m, "axes": axes_word(known[m][0], layers[m][0]),
                            "features": known[m][0][layers[m][0]]} for m, t in same.items()],
        }
        if picture:
            entry |= picture(net, shape, folder, name)
        yield entry


# ---- index ----


def read_index(folder):
    path = folder / "index.json"
    return json.loads(path.read_text()) if path.exists() else []


def add(folder, entry):
    """Adds an entry to the index, whose file is complete at any time."""
    index = [e for e in read_index(folder) if (e["name"], e["exporter"]) != (entry["name"], entry["exporter"])]
    index.append(entry)
    new = folder / f"index.json.{os.getpid()}"
    new.write_text(json.dumps(index, indent=1))
    new.rename(folder / "index.json")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--exporters", default="legacy,dynamo")
    parser.add_argument("--again", action="store_true", help="also what the index already has")
    parser.add_argument("--architectures", action="store_true", help="timm's architectures as they come")
    parser.add_argument("--run", type=Path, help="compares with this oneiro instead of making files")
    parser.add_argument("--quick", action="store_true", help="with --run: do not try what must be refused")
    parser.add_argument("--verbose", action="store_true", help="a line for every wrong or refused layer")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.run:
        from axes_table import table

        index = [e for e in read_index(arguments.out) if not arguments.names or e["name"] in arguments.names]
        return table(arguments.run, arguments.out, index, arguments.quick, arguments.verbose)

    import torch

    torch.set_num_threads(1)
    if arguments.architectures:
        return architectures(arguments)
    unknown = [n for n in arguments.names if n not in NETWORKS]
    if unknown:
        raise SystemExit(f"no such network: {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    for name in arguments.names or NETWORKS:
        have = {e["exporter"] for e in read_index(arguments.out) if e["name"] == name and e["status"] == "exported"}
        exporters = [e for e in arguments.exporters.split(",") if arguments.again or e not in have]
        if not exporters:
            continue
        try:
            for entry in make(name, NETWORKS[name], exporters, arguments.out):
                add(arguments.out, entry)
                print(summary(entry), flush=True)
        except Exception as e:
            print(f"{name}: {short(e)}", flush=True)
            if arguments.verbose:
                raise


def architectures(arguments):
    """Writes files of timm's architectures: four layers each, one exporter (the newer for every fourth), a
    picture's class."""
    import axes_architectures as a

    def late(*_):
        raise TimeoutError(f"more than {LONGEST} s")

    signal.signal(signal.SIGALRM, late)
    for i, name in enumerate(a.NAMES):
        have = any(e["name"] == name for e in read_index(arguments.out))
        if arguments.names and name not in arguments.names or have and not arguments.again:
            continue
        exporter = "dynamo" if i % 4 == 2 and "dynamo" in arguments.exporters else "legacy"
        started = time.time()
        signal.alarm(LONGEST)
        try:
            spec = a.spec(name)
            for entry in make(name, spec, [exporter], arguments.out, limit=4, batch=1, picture=a.picture):
                pass
        except BaseException as e:
            if isinstance(e, KeyboardInterrupt):
                raise
            entry = {"name": name, "exporter": exporter, "status": "skipped", "message": short(e).split(" This is")[0]}
        signal.alarm(0)
        entry["seconds"] = round(time.time() - started, 1)
        path = arguments.out / f"{name}.{exporter}.onnx"
        if entry["status"] == "exported" and path.stat().st_size > LARGEST:
            entry |= {"status": "skipped", "message": f"{path.stat().st_size / 1e6:.0f} MB"}
        if entry["status"] != "exported":
            path.unlink(missing_ok=True)
        add(arguments.out, entry)
        print(summary(entry), flush=True)


def summary(entry):
    if entry["status"] != "exported":
        return f"{entry['name']}.{entry['exporter']}: {entry['status']}: {entry['message']}"
    kinds = ",".join(sorted({r["axes"] for r in entry["layers"]}))
    return (
        f"{entry['name']}.{entry['exporter']}: {len(entry['layers'])} layers ({kinds}), "
        f"{len(entry['must_refuse'])} to refuse, {entry['modules_matched']} matched, {len(entry['unmatched'])} not, "
        f"batch {entry['batch']}, output {entry['output_error']:.1e}, steady {entry['steady']}, "
        f"{entry['bytes'] / 1e6:.2f} MB, {entry['seconds']} s"
    )


if __name__ == "__main__":
    main()
