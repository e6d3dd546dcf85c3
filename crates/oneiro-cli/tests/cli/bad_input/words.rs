//! Command-line arguments that cannot be parsed.

use crate::bad_input::{place, refuse_all};

#[test]
fn words_that_cannot_be_read() {
    refuse_all(
        &place(),
        &[
            ("nothing to render", "render net.onnx", &["--unit", "--objective"]),
            ("nothing to show", "sheet net.onnx", &["--layer", "--class"]),
            (
                "nothing to store",
                "run net.onnx --input x=a.npy --out a.safetensors",
                &["--capture", "--grad"],
            ),
            ("an empty unit", "render net.onnx -u ''", &["a unit is"]),
            (
                "no channel",
                "render net.onnx -u left.conv:",
                &["\"left.conv:\"", "the channel is missing", "a unit is"],
            ),
            (
                "a channel in words",
                "render net.onnx -u left.conv:five",
                &["\"left.conv:five\"", "whole number"],
            ),
            ("a negative channel", "render net.onnx -u left.conv:-1", &["\"left.conv:-1\"", "whole number"]),
            ("no position", "render net.onnx -u left.conv:1@", &["\"left.conv:1@\"", "position"]),
            ("an open quote", "render net.onnx -u '\"left.conv:1'", &["quote"]),
            ("no class", "render net.onnx -u class:", &["class is missing"]),
            (
                "an unknown term",
                "render net.onnx --objective 'chanel(a,1)'",
                &["\"chanel\"", "channel(LAYER,C)"],
            ),
            ("an open parenthesis", "render net.onnx --objective 'channel(left.conv,1'", &["not closed"]),
            ("no term", "render net.onnx --objective 1.5", &["1.5", "nothing"]),
            (
                "an unknown transform",
                "render net.onnx -u left.conv:1 --transform 'shake(3)'",
                &["`shake`", "jitter"],
            ),
            (
                "a bad argument of a transform",
                "render net.onnx -u left.conv:1 --transform 'pad(12)|scale(2..1)'",
                &["`scale(2..1)`", "2 is above 1"],
            ),
            ("size 0", "render net.onnx -u left.conv:1 --size 0", &["--size", "\"0\""]),
            ("half a size", "render net.onnx -u left.conv:1 --size 32x", &["--size", "\"\""]),
            ("a size in words", "render net.onnx -u left.conv:1 --size big", &["--size", "\"big\""]),
            (
                "a size beyond memory",
                "render net.onnx -u left.conv:1 --size 100000",
                &["--size", "\"100000\"", "8192"],
            ),
            ("a negative size", "render net.onnx -u left.conv:1 --size -32", &["--size", "-32"]),
            ("negative steps", "render net.onnx -u left.conv:1 --steps -1", &["--steps", "-1"]),
            ("steps in words", "render net.onnx -u left.conv:1 --steps many", &["--steps", "many"]),
            ("a negative seed", "render net.onnx -u left.conv:1 --seed -1", &["--seed", "-1"]),
            (
                "a rate that is no number",
                "render net.onnx -u left.conv:1 --learning-rate NaN",
                &["--learning-rate", "NaN"],
            ),
            ("a rate of 0", "render net.onnx -u left.conv:1 --lr 0", &["--learning-rate", "positive"]),
            ("a negative rate", "render net.onnx -u left.conv:1 --lr -0.5", &["--learning-rate", "-0.5"]),
            ("an infinite rate", "render net.onnx -u left.conv:1 --lr inf", &["--learning-rate", "inf"]),
            (
                "a fraction above 1",
                "render net.onnx -u left.conv:1 --until-converged 2",
                &["--until-converged", "2"],
            ),
            (
                "a fraction that is none",
                "render net.onnx -u left.conv:1 --until-converged nan",
                &["--until-converged"],
            ),
            ("an unknown preset", "render net.onnx -u left.conv:1 --preset dali", &["dali", "lucid"]),
            (
                "an unknown optimiser",
                "render net.onnx -u left.conv:1 --optimizer newton",
                &["newton", "adam", "lbfgs"],
            ),
            (
                "momentum for an optimiser that has none",
                "render net.onnx -u left.conv:1 --momentum 0.9",
                &["--momentum 0.9", "adam has no momentum", "beta1"],
            ),
            (
                "a momentum of 1",
                "render net.onnx -u left.conv:1 --optimizer sgd --momentum 1",
                &["--momentum 1", "less than 1"],
            ),
            (
                "a schedule that is none",
                "render net.onnx -u left.conv:1 --schedule linear",
                &["--schedule", "linear", "inverse-time(K)"],
            ),
            (
                "an unknown parametrization",
                "render net.onnx -u left.conv:1 --param voxel",
                &["cppn", "fourier"],
            ),
            ("an unknown flag", "render net.onnx -u left.conv:1 --colour", &["--colour"]),
            (
                "units that run backwards",
                "sheet net.onnx --layer left.conv --units 3-1",
                &["--units", "3-1", "backwards"],
            ),
            ("units in words", "sheet net.onnx --layer left.conv --units some", &["--units", "some"]),
            ("no units", "sheet net.onnx --layer left.conv --units ''", &["--units"]),
            (
                "too many units",
                "sheet net.onnx --layer left.conv --units 0-4000000000",
                &["--units", "too long"],
            ),
            ("no columns", "sheet net.onnx --layer left.conv --columns 0", &["--columns", "0"]),
            ("no threads", "layers net.onnx --threads 0", &["--threads", "0"]),
            ("too many threads", "layers net.onnx --threads 1000000", &["--threads", "1000000"]),
            ("another device", "layers net.onnx --device cuda", &["--device", "cuda", "cpu"]),
            ("no batch", "bench net.onnx --batch 0", &["--batch", "0"]),
            ("no classes named", "classify net.onnx a.png --top 0", &["--top", "0"]),
            ("all cut away", "classify net.onnx a.png --crop 0", &["--crop 0"]),
            ("a negative crop", "classify net.onnx a.png --crop -1", &["--crop", "-1"]),
            ("a negative tolerance", "check net.onnx a.safetensors --rtol -1", &["--rtol", "-1"]),
            (
                "a tolerance that is none",
                "check net.onnx a.safetensors --grad-rtol nan",
                &["--grad-rtol", "NaN"],
            ),
        ],
    );
}
