"""Writes resize.txt: ONNX Runtime's results for the ramp 0, 1, ... in every mode of Resize, at odd sizes and scales.

Needs onnx and onnxruntime. A line: opset, mode, coordinates, rounding, extent, scale, size (one of the two is "-"): values.
Left out is where ONNX Runtime differs from the specification: an input of the output's shape is copied whatever the
scale or region, and half_pixel_symmetric with floor or ceil rounds whole positions down or up by one.
"""
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

EXTENTS = [5, 8, 13]
SCALES = [1.6, 1.2, 1.37, 2.0, 0.6, 0.45, 1 / 3]
COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric",
               "tf_crop_and_resize", "tf_half_pixel_for_nn"]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


def run(opset, mode, coordinates, rounding, extent, scale, size):
    attributes = {"mode": mode}
    if coordinates:
        attributes["coordinate_transformation_mode"] = coordinates
    if rounding:
        attributes["nearest_mode"] = rounding
    constants = []

    def constant(name, values, kind):
        constants.append(helper.make_tensor(name, kind, [len(values)], values))
        return name

    scales = [1, 1, 1, scale] if scale else []
    if opset < 11:
        inputs = ["x", constant("scales", scales, TensorProto.FLOAT)]
    else:
        inputs = ["x", constant("roi", [0, 0, 0, .15, 1, 1, 1, .85], TensorProto.FLOAT)]
        inputs.append(constant("scales", scales, TensorProto.FLOAT) if scales or opset < 13 else "")
        if size:
            inputs.append(constant("sizes", [1, 1, 1, size], TensorProto.INT64))
    node = helper.make_node("Resize", inputs, ["y"], **attributes)
    value = helper.make_tensor_value_info
    graph = helper.make_graph([node], "g", [value("x", TensorProto.FLOAT, [1, 1, 1, extent])],
                              [value("y", TensorProto.FLOAT, None)], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.arange(extent, dtype="float32").reshape(1, 1, 1, -1)})[0].ravel()


with open("resize.txt", "w") as out:
    out.write(f"# ONNX Runtime {onnxruntime.__version__}; written by resize.py\n")
    for coordinates in [""] + COORDINATES:
        modes = [("nearest", r) for r in ROUNDINGS] + [("linear", ""), ("cubic", "")]
        opset = 19
        if not coordinates:
            opset, modes = 10, [("nearest", ""), ("linear", "")]
        if coordinates == "tf_half_pixel_for_nn":
            opset, modes = 11, modes[:4]
        if coordinates == "half_pixel_symmetric":
            modes = modes[:2] + modes[4:]
        for mode, rounding in modes:
            for extent in EXTENTS:
                for scale in SCALES:
                    size = int(np.floor(np.float32(extent) * np.float32(scale)))
                    for by in ([scale, 0], [0, size]):
                        if size < 1 or size == extent or (opset < 11 and not by[0]):
                            continue
                        y = run(opset, mode, coordinates, rounding, extent, *by)
                        question = [opset, mode, coordinates, rounding, extent, *by]
                        question = " ".join(str(v) if v else "-" for v in question)
                        out.write(f"{question}: {' '.join(f'{v:.6g}' for v in y)}\n")
