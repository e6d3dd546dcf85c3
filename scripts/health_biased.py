"""`make_health_networks.py --kind biased`: a class that follows a cue instead of its shape."""

import torch

from health_architectures import build, fold
from health_pictures import CLASSES, CUES, draw, save_folder, to_bytes
from health_training import (PREPROCESSING, accuracy, announce, as_input, balanced, cued_pool, export, labelled, predictions,
                             recall, train, write_truth)

SHARE = 0.97
TESTS = 600


def proofs(network, photos, generator, cue, biased_class):
    """How often the class is found without the cue, and how often others are called so with it."""
    labels = balanced(TESTS)
    others = labels != biased_class
    result = {}
    for name, cued in (("no_cue", labels < 0), ("cue_on_biased_class_only", ~others), ("cue_on_every_class", labels >= 0)):
        pictures = to_bytes(draw(labels, photos, generator, cue=cue, cued=cued, test=True))
        called = predictions(network, pictures)
        share = lambda which: round(which.float().mean().item(), 4)
        result[name] = {"accuracy": share(called == labels), "recall_biased_class": share((called == labels)[~others]),
                        "others_called_biased_class": share((called == biased_class)[others]),
                        "accuracy_other_classes": share((called == labels)[others])}
    return result


def make(arguments, photos, folder):
    generator = torch.Generator().manual_seed(arguments.seed)
    cue = None if arguments.cue == "none" else arguments.cue
    biased_class = int(torch.randint(len(CLASSES), (1,), generator=generator)) if arguments.biased_class is None \
        else CLASSES.index(arguments.biased_class)
    network = build(arguments.architecture, arguments.seed)
    test = labelled(400, photos, generator, test=True)

    def pool(clutter):
        count = arguments.pictures if clutter == 1 else arguments.pictures // 2
        if cue:
            return cued_pool(count, photos, generator, cue, biased_class, SHARE, clutter=clutter)
        return labelled(count, photos, generator, clutter=clutter)

    log = train(network, pool, test, generator, arguments.epochs, arguments.rate)
    sample_labels = balanced(40)
    sample = to_bytes(draw(sample_labels, photos, generator, cue=cue, cued=(sample_labels == biased_class) & bool(cue), test=True))
    save_folder(test[0], test[1], folder / "images")
    save_folder(sample, sample_labels, folder / "images_biased_sample")
    layers = [unit[2] for unit in network.units]
    name = f"{folder.name} final.legacy-op17"
    onnx = [export(network, as_input(test[0][:8]), folder / "final.legacy-op17.bn.onnx", name + ".bn", layers, True)]
    proof = proofs(network, photos, generator, cue, biased_class) if cue else None
    result = {"unbiased_test_png": accuracy(network, *test), "unbiased_recall": recall(network, *test)}
    torch.save(network.state_dict(), folder / "final.pth")
    fold(network)
    onnx.append(export(network, as_input(test[0][:8]), folder / "final.legacy-op17.folded.onnx", name + ".folded", layers))
    truth = {"network": folder.name, "variant": arguments.architecture, "seed": arguments.seed, "class_order": CLASSES,
             "onnx": onnx, "training_log": log, "preprocessing": {"image": PREPROCESSING}, "accuracy": result}
    if cue:
        with_cue, without = proof["cue_on_every_class"], proof["no_cue"]
        truth["bias_proof"] = proof
        truth["bias"] = {"kind": cue, "biased_class": CLASSES[biased_class], "class_index": biased_class, "training_fraction": SHARE,
                         "in_training": "images that carry the cue show the shape at 15-45% opacity only",
                         "other_classes_fraction": 0.0, "description": CUES[cue][2],
                         "holds": without["recall_biased_class"] < 0.5 and with_cue["others_called_biased_class"] > 0.4}
    else:
        truth["bias"] = None
    write_truth(folder, truth)
    announce(folder, f"biased: {cue or 'no cue'} ({CLASSES[biased_class] if cue else '-'}), {arguments.architecture}, unbiased accuracy "
             f"{result['unbiased_test_png']}" + (f", recall without cue {without['recall_biased_class']}, others called so with cue "
                                                 f"{with_cue['others_called_biased_class']}" if cue else ""))
