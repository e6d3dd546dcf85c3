"""Runs `oneiro` on the files of `axes_against_pytorch.py` and counts right, wrong and refused layers."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

RTOL = 1e-3
TIMEOUT = 300
LINE = re.compile(r"^(value|grad)/([^/:]+)(?:/[^:]+)?: (\S+) \(at most \S+\)  (ok|FAILED)")


def call(oneiro, *arguments):
    """Runs a command of `oneiro`; returns exit status, stdout and stderr."""
    command = [str(oneiro), *map(str, arguments), "--threads", "1"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return -1, "", f"no answer within {TIMEOUT} s"
    return done.returncode, done.stdout, done.stderr


def last_line(text):
    lines = [l for l in text.strip().splitlines() if l.startswith("error")] or text.strip().splitlines() or [""]
    return lines[0][:300]


def verdicts(oneiro, model, golden):
    """Returns `{id: (right, errors)}`, and the message if the program gives no result."""
    code, out, err = call(oneiro, "check", model, golden, "-q", "--preprocess", "none", "--rtol", RTOL, "--grad-rtol", RTOL)
    found = {}
    for kind, id, error, word in (m.groups() for m in map(LINE.match, out.splitlines()) if m):
        right, errors = found.get(id, (True, {}))
        found[id] = (right and word == "ok", errors | {kind: error})
    if code < 0 or code > 1 or "panicked" in err:
        return found, f"exit {code}: {last_line(err)}"
    return found, last_line(err) if not found else ""


def part(golden, ids, path, gradients=True):
    """Writes a file of reference values that has only some of the objectives."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(str(golden), "np") as f:
        wanted = json.loads(f.metadata()["objectives"])
        keys = [k for k in f.keys() if k.startswith("input/") or k.split("/")[1] in ids]
        kept = {k: f.get_tensor(k) for k in keys if gradients or not k.startswith("grad/")}
    save_file(kept, str(path), {"objectives": json.dumps({i: wanted[i] for i in ids})})
    return path


def objective(golden, expression, path):
    """Writes a file of reference values with one objective of unknown value, to see whether the program computes it."""
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(str(golden), "np") as f:
        kept = {k: f.get_tensor(k) for k in f.keys() if k.startswith("input/")}
    save_file(kept | {"value/q": np.float32([1e6])}, str(path), {"objectives": json.dumps({"q": expression})})
    return path


def compare(oneiro, folder, entry, scratch, quick):
    """Returns the results of `oneiro` for one file."""
    model, golden = folder / entry["onnx"], folder / entry["golden"]
    ids = [r["id"] for r in entry["layers"]]
    found, message = verdicts(oneiro, model, golden) if ids else ({}, "")
    refused = {}
    if not found and ids:
        # One refused layer stops the whole check, so each is then asked for alone.
        for id in ids:
            one, why = verdicts(oneiro, model, part(golden, [id], scratch / "one.safetensors", False))
            if not one:
                refused[id] = why
        rest = [i for i in ids if i not in refused]
        if rest:
            found, message = verdicts(oneiro, model, part(golden, rest, scratch / "rest.safetensors"))
            refused |= {i: message for i in rest if i not in found}
    rows = {r["id"]: r for r in entry["layers"]}
    result = {
        "right": [i for i in ids if found.get(i, (False,))[0]],
        "wrong": {i: found[i][1] for i in ids if i in found and not found[i][0]},
        "refused": refused,
        "answered": [],
        "panics": [m for m in [*refused.values(), message] if "panick" in m or m.startswith("exit 101")],
    }
    asked = {}
    for r in entry["must_refuse"] if not quick else []:
        # One tensor of each kind inside attention, and every module, is asked for.
        asked.setdefault(r["layer"] if r["why"].startswith("tokens") else r["why"], r)
    for r in asked.values():
        path = objective(golden, f'channel("{r["layer"]}",1)', scratch / "refuse.safetensors")
        if verdicts(oneiro, model, path)[0]:
            result["answered"].append(r)
    result["asked"] = len(asked)
    return result | axes_of(oneiro, model, entry) | top_class(oneiro, folder, model, entry) | {"rows": rows}


def axes_of(oneiro, model, entry):
    """Returns the axes listed by `layers --json`, and those that differ from PyTorch's in place or number of
    channels."""
    code, out, err = call(oneiro, "layers", model, "--json", "-q")
    if code:
        return {"known": None, "layers": 0, "axes_wrong": [], "channels_wrong": [], "layers_message": last_line(err)}
    layers = json.loads(out)
    names = {}
    for l in layers:
        for n in [l["name"], *l.get("aliases", [])]:
            names.setdefault(n, l)
    axes_wrong, channels_wrong, matched = [], [], 0
    for e in entry.get("all_layers", []):
        l = names.get(e["tensor"])
        if l is None:
            continue
        matched += 1
        # Only the place of the channels is compared: "N,tokens,C" and "N,windows,C" count as equal.
        place = lambda axes: axes and [a.strip() for a in axes.split(",")].index("C") if axes and "C" in axes else None
        said = l.get("axes")
        if said and place(said) != place(e["axes"]):
            axes_wrong.append((e["module"], said, e["axes"]))
        if l.get("channels") != e["features"] and (said or "axes" not in l):
            channels_wrong.append((e["module"], l.get("channels"), e["features"]))
    has = any("axes" in l for l in layers)
    ours = [names[e["tensor"]] for e in entry.get("all_layers", []) if e["tensor"] in names]
    return {
        "known": sum(bool(l.get("axes")) for l in layers) if has else None,
        "layers": len(layers),
        "ours_known": sum(bool(l.get("axes")) for l in ours) if has else None,
        "unknown": [e["module"] for e in entry.get("all_layers", [])
                    if e["tensor"] in names and not names[e["tensor"]].get("axes")] if has else [],
        "ours": matched,
        "axes_wrong": axes_wrong,
        "channels_wrong": channels_wrong,
    }


def top_class(oneiro, folder, model, entry):
    """Returns whether `classify` predicts the same class as PyTorch."""
    if "top1" not in entry:
        return {}
    flags = ["--json", "-q", "--preprocess", entry["preprocess"], "--top", "5"]
    code, out, err = call(oneiro, "classify", model, folder / entry["png"], *flags)
    if code:
        return {"class": "refused", "class_message": last_line(err)}
    top = json.loads(out)[0]["top"]
    said = {t["class"]: t["probability"] for t in top}
    right = top[0]["class"] == entry["top1"]
    near = all(abs(said.get(int(c), -1) - p) < 1e-3 for c, p in entry["probabilities"].items() if int(c) in said)
    return {"class": "right" if right and near else "probability" if right else "wrong",
            "class_message": f"says {top[:2]}, PyTorch {entry['top1']} {entry['probabilities']}"}


def table(oneiro, folder, index, quick, verbose):
    """Prints a line for each file, and totals."""
    oneiro = Path(oneiro).resolve()
    sums, classes = [0] * 5, {}
    shape = "{:28} {:7} {:>6} {:>6} {:>8} {:>9} {:>13} {:>11} {:>9} {:>9}  {}"
    print(shape.format("network", "export", "right", "wrong", "refused", "answered*", "known/layers", "known/ours",
                       "axes bad", "ch. bad", "class"))
    with tempfile.TemporaryDirectory() as scratch:
        for entry in index:
            if entry["status"] != "exported":
                print(f"{entry['name']:28} {entry['exporter']:7} {entry['status']}: {entry.get('message', '')[:90]}")
                continue
            r = compare(oneiro, folder, entry, Path(scratch), quick)
            dash = lambda v: "-" if v is None else v
            print(shape.format(
                entry["name"], entry["exporter"], len(r["right"]), len(r["wrong"]), len(r["refused"]),
                f"{len(r['answered'])}/{r['asked']}", f"{dash(r['known'])}/{r['layers']}",
                f"{dash(r.get('ours_known'))}/{r.get('ours', 0)}", len(r["axes_wrong"]), len(r["channels_wrong"]),
                r.get("class", ""),
            ), flush=True)
            sums = [a + b for a, b in zip(sums, (len(r["right"]), len(r["wrong"]), len(r["refused"]), len(r["answered"]),
                                                 r["asked"]))]
            if "class" in r:
                classes[r["class"]] = classes.get(r["class"], 0) + 1
            if not entry["steady"]:
                print("    (PyTorch's own float32 gradient is no better than 2e-4 here)")
            for p in r["panics"]:
                print("    PANIC", p)
            if verbose:
                details(r)
    print(f"{sums[0]} right, {sums[1]} wrong, {sums[2]} refused; answered where no channel exists: {sums[3]} of {sums[4]}")
    if classes:
        print("classes:", ", ".join(f"{n} {k}" for k, n in sorted(classes.items())))
    print("* answered where a refusal is right")


def details(r):
    for i, errors in r["wrong"].items():
        row = r["rows"][i]
        print(f"    wrong   {row['module']} {row['shape']} {row['axes']} prefix {row['prefix']}: {errors}")
    for i, why in r["refused"].items():
        row = r["rows"][i]
        print(f"    refused {row['module']} {row['shape']} {row['axes']}: {why}")
    for a in r["answered"]:
        print(f"    answered {a['layer']} {a['shape']} ({a['why']})")
    for module, said, wanted in r["axes_wrong"][:8]:
        print(f"    axes    {module}: {said}, PyTorch {wanted}")
    for module, said, wanted in r["channels_wrong"][:8]:
        print(f"    channels {module}: {said}, PyTorch {wanted}")
    if r.get("unknown"):
        print(f"    unknown axes: {', '.join(r['unknown'][:12])}")
    if r.get("class") not in (None, "right"):
        print(f"    class   {r['class_message']}")
    if "layers_message" in r:
        print(f"    layers  {r['layers_message']}")
