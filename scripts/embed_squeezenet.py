#!/usr/bin/env python3
"""Make the small network that is embedded in the binary.

    python scripts/embed_squeezenet.py MODEL.onnx OUT.onnx

Every float32 initializer is stored as float16, with a Cast back to float32 behind it, which halves the
file. The initializer `W` becomes `W.f16`, and the Cast's output is called `W`, so that every other name of
the graph, and with it every layer, stays as it was. Documentation strings are dropped. Weights are rounded
to the nearest float16; one that would overflow is an error.

Needs numpy and onnx.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def halve(model):
    """Replace float32 weights by float16 ones, each followed by a Cast; return (count, largest relative error)."""
    graph = model.graph
    casts, worst = [], 0.0
    inputs = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        name = tensor.name
        if name in inputs:
            sys.exit(f"{name}: an initializer that is also a graph input cannot be replaced; re-export without it")
        full = numpy_helper.to_array(tensor)
        half = full.astype(np.float16)
        if not np.isfinite(half).all():
            sys.exit(f"{name}: a weight does not fit in float16 (largest {np.abs(full).max():g})")
        error = np.linalg.norm(half.astype(np.float64) - full) / max(np.linalg.norm(full), 1e-30)
        worst = max(worst, float(error))
        tensor.CopyFrom(numpy_helper.from_array(half, name + ".f16"))
        casts.append(helper.make_node("Cast", [name + ".f16"], [name], name=name + ".cast", to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    return len(casts), worst


def strip(model):
    """Remove the documentation strings of the model, its graph, nodes, values and attributes."""
    model.doc_string = ""
    graph = model.graph
    graph.doc_string = ""
    for item in [*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info]:
        item.doc_string = ""
    for node in graph.node:
        for attribute in node.attribute:
            attribute.doc_string = ""


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, out = sys.argv[1:]
    model = onnx.load(source)
    count, worst = halve(model)
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    with open(out, "wb") as file:
        file.write(data)
    print(f"{out}: {count} tensors halved, {len(data)} bytes, relative rounding error at most {worst:.2e}")


if __name__ == "__main__":
    main()
