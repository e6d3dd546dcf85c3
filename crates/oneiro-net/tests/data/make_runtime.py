"""Makes the networks `runtime_*.onnx` of `tests/against_pytorch.rs`, which contain ONNX Runtime's own operators.

Needs `torch`, `onnx`, `onnxruntime` and `safetensors`. Beside each network lie PyTorch's numbers in float64
(`make.py` says how).

    runtime_cnn.LEVEL.onnx   exported by PyTorch, then optimized and saved by ONNX Runtime at a level:
                             FusedConv, FusedGemm, QuickGelu; nchwc.* (on a processor with AVX-512: blocks of 16)
    runtime_block.onnx       written by hand: what ONNX Runtime's tools make of transformers
"""

import io
import json

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from torch import nn

SEED = 3


def random(*shape, scale=1.0):
    return torch.randn(*shape, generator=random.stream, dtype=torch.float64).float() * scale


random.stream = torch.Generator().manual_seed(SEED)


def golden(path, x, values, objectives):
    """Stores inputs, activations, and objectives (ID: (expression, value)) with their gradients."""
    tensors = {"input/x": x} | {f"act/{name}": value for name, value in values.items()}
    for key, (_, value) in objectives.items():
        tensors[f"value/{key}"] = value.reshape(1)
        tensors[f"grad/{key}/x"] = torch.autograd.grad(value, x, retain_graph=True)[0]
    tensors = {k: np.ascontiguousarray(v.detach().float().numpy()) for k, v in tensors.items()}
    expressions = {key: expression for key, (expression, _) in objectives.items()}
    save_file(tensors, path, metadata={"objectives": json.dumps(expressions)})


class Cnn(nn.Module):
    """A network with every activation function that ONNX Runtime fuses into a convolution, sums, groups, and
    numbers of channels that are no multiple of a block."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, 2, 1)
        self.depthwise = nn.Conv2d(12, 12, 3, 1, 1, groups=12)
        self.expand = nn.Conv2d(12, 20, 1)
        self.same = nn.Conv2d(20, 20, 3, 1, 1)
        self.gate = nn.Conv2d(20, 20, 1)
        self.wide = nn.Conv2d(20, 24, 3, 1, 2, dilation=2)
        self.dense = nn.Linear(24, 5)
        self.last = nn.Linear(5, 4)

    def forward(self, x):
        x = F.hardswish(self.stem(x))
        x = F.leaky_relu(self.depthwise(x), 0.1)
        x = F.max_pool2d(F.relu6(self.expand(x)), 3, 2, 1)
        x = F.relu(self.same(x) + x)
        x = x * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        y = F.interpolate(torch.tanh(self.wide(x)), scale_factor=2, mode="nearest")
        z = y * F.hardsigmoid(y)
        z = z * torch.sigmoid(1.702 * z)
        z = F.leaky_relu(self.dense(z.mean((2, 3))), 0.2)
        return self.last(z), F.avg_pool2d(y, 2, 2)


def cnn():
    net = Cnn().eval()
    for parameter in net.parameters():
        fan = parameter[0].numel() if parameter.ndim > 1 else 1
        parameter.data = random(*parameter.shape, scale=(1.6 / fan) ** 0.5 if parameter.ndim > 1 else 0.2)
    file = io.BytesIO()
    torch.onnx.export(net, (torch.zeros(1, 3, 21, 18),), file, dynamo=False, opset_version=17, input_names=["x"],
                      output_names=["y", "z"])
    net, x = net.double(), random(1, 3, 21, 18).double().requires_grad_()
    y, z = net(x)
    levels = onnxruntime.GraphOptimizationLevel
    for name, level in [("extended", levels.ORT_ENABLE_EXTENDED), ("all", levels.ORT_ENABLE_ALL)]:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level, options.log_severity_level = level, 3
        options.optimized_model_filepath = f"runtime_cnn.{name}.onnx"
        onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
        model = onnx.load(options.optimized_model_filepath)
        print(name, sorted({f"{n.domain}.{n.op_type}" for n in model.graph.node}))
        golden(f"runtime_cnn.{name}.golden.safetensors", x, {"y": y, "z": z},
               {"class": ("channel(y,1)", y[:, 1].mean()), "map": ("channel(z,3)", z[:, 3].mean())})


def block():
    """A transformer block whose operators are all in ONNX Runtime's form."""
    size, heads, tokens = 12, 3, 5
    weights = {
        "gamma": random(size) * 0.2 + 1, "beta": random(size, scale=0.1), "skip": random(1, tokens, size),
        "qkv": random(size, 3 * size, scale=0.3), "qkv_bias": random(3 * size, scale=0.1),
        "mask": random(1, heads, tokens, tokens), "packed_bias": random(3 * size, scale=0.1),
        "up": random(20, size, scale=0.3), "up_bias": random(20, scale=0.2), "down": random(20, size, scale=0.3),
    }
    constants = [numpy_helper.from_array(v.numpy(), k) for k, v in weights.items()]
    nodes = []

    def node(op, inputs, outputs, domain="com.microsoft", **attributes):
        nodes.append(helper.make_node(op, inputs, outputs, outputs[0], domain=domain, **attributes))

    node("SkipLayerNormalization", ["x", "skip", "gamma", "beta"], ["n1", "", "", "sum1"], epsilon=1e-5)
    node("Attention", ["n1", "qkv", "qkv_bias", "", "", "mask"], ["a1"], num_heads=heads)
    node("SkipSimplifiedLayerNormalization", ["a1", "sum1", "gamma"], ["n2", "", "", "sum2"], epsilon=1e-5)
    node("MultiHeadAttention", ["n2", "n1", "a1", "packed_bias"], ["a2"], num_heads=heads, scale=0.7)
    node("SimplifiedLayerNormalization", ["a2", "gamma"], ["n3"], domain="", epsilon=1e-5)
    node("FusedMatMul", ["n3", "up"], ["m1"], transB=1, alpha=1.5)
    node("BiasGelu", ["m1", "up_bias"], ["g1"])
    node("FastGelu", ["g1", "up_bias"], ["g2"])
    node("QuickGelu", ["g2"], ["g3"], alpha=1.3)
    node("MatMul", ["g3", "down"], ["y"], domain="")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "block", [value("x", TensorProto.FLOAT, [1, tokens, size])],
                              [value("y", TensorProto.FLOAT, [1, tokens, size])], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    onnx.save(model, "runtime_block.onnx")

    w = {k: v.double() for k, v in weights.items()}
    x = random(1, tokens, size).double().requires_grad_()

    def attend(q, k, v, mask=None, scale=None):
        q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, mask, scale=scale).transpose(1, 2).flatten(2)

    def rms(x):
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * w["gamma"]

    sum1 = x + w["skip"]
    n1 = F.layer_norm(sum1, (size,), w["gamma"], w["beta"], 1e-5)
    a1 = attend(*(n1 @ w["qkv"] + w["qkv_bias"]).chunk(3, -1), mask=w["mask"])
    n2 = rms(a1 + sum1)
    a2 = attend(*(t + b for t, b in zip((n2, n1, a1), w["packed_bias"].chunk(3))), scale=0.7)
    g1 = F.gelu(rms(a2) @ w["up"].T * 1.5 + w["up_bias"])
    g2 = F.gelu(g1 + w["up_bias"], approximate="tanh")
    g3 = g2 * torch.sigmoid(1.3 * g2)
    y = g3 @ w["down"]
    theirs = onnxruntime.InferenceSession("runtime_block.onnx", providers=["CPUExecutionProvider"])
    theirs = theirs.run(None, {"x": x.detach().float().numpy()})[0]
    print("block: ONNX Runtime and PyTorch differ by", np.abs(theirs - y.detach().numpy()).max())
    golden("runtime_block.golden.safetensors", x, {"n1": n1, "a1": a1, "n2": n2, "a2": a2, "g3": g3, "y": y},
           {"all": ("layer(y)", (y**2).mean()), "attention": ("layer(a1)", (a1**2).mean())})


cnn()
block()
