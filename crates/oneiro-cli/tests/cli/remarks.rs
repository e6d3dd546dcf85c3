//! Remarks about results that show nothing, and about settings that follow from others.

use oneiro::preset::Preset;

use crate::files::{picture, text_of};
use crate::onnx::{ints, message, node, number, tensor, text, value, weights};
use crate::place::Place;

const SMALL: &[&str] = &["--size", "32", "--steps", "64", "--transform", "none", "--out", "a.png"];

fn said(place: &Place, args: &[&str]) -> String {
    let outcome = place.run(&[args, SMALL].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.stderr
}

#[test]
fn results_that_show_nothing_are_remarked_upon() {
    let place = Place::new();
    let goldfish = |flags: &[&str]| {
        said(&place, &[&["render", "squeezenet1_1", "--unit", "class:goldfish"], flags].concat())
    };
    let fine = goldfish(&[]);
    let others = fine.lines().filter(|line| line.contains("note:") && !line.contains("another class has"));
    assert_eq!(others.count(), 0, "{fine}");
    let large = goldfish(&["--lr", "50"]);
    assert!(large.contains("at the end of what a picture can show"), "{large}");
    // Evenness is judged for each colour channel by itself: a uniform picture need not be grey.
    let small = goldfish(&["--param", "pixel", "--lr", "1e-6"]);
    assert!(small.contains("class:goldfish is nearly even") && small.contains("--display auto"), "{small}");
    // A penalty that pulls the picture away lets the unit's value fall.
    let fallen =
        said(&place, &["render", "squeezenet1_1", "--objective", "0*logit(goldfish) - tv", "--lr", "30"]);
    assert!(fallen.contains("ended no higher than it began"), "{fallen}");
    let quiet = place
        .run(&[&["render", "squeezenet1_1", "--unit", "class:goldfish", "--lr", "50", "-q"], SMALL].concat());
    assert_eq!(quiet.stderr, "");
}

#[test]
fn pictures_of_classes_that_the_network_names_otherwise_are_remarked_upon() {
    // The score of the second class is always that of the first and one more.
    let kernel = weights(27, 4).repeat(2);
    let graph = [
        node("Conv", "conv", &["x", "weight", "bias"], "map", &[ints("kernel_shape", &[3, 3])]),
        node("GlobalAveragePool", "mean", &["map"], "pooled", &[]),
        node("Flatten", "flat", &["pooled"], "scores", &[]),
        text(2, "twins"),
        tensor("weight", &[2, 3, 3, 3], &kernel),
        tensor("bias", &[2], &[0.0, 1.0]),
        value(11, "x", &[None, Some(3), None, None]),
        value(12, "scores", &[None, Some(2)]),
    ];
    let opset = [text(1, ""), number(2, 17)].concat();
    let place = Place::new();
    place.write("net.onnx", [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat());
    place.write("labels.txt", "cat\ndog\n");
    place.write("net.toml", "labels = \"labels.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    let of = |class: &str| said(&place, &["render", "net.onnx", "--unit", class]);
    let cat = of("class:cat");
    assert!(cat.contains("another class has the largest score for these pictures: class:cat: dog"), "{cat}");
    assert!(!of("class:dog").contains("another class has"));
}

#[test]
fn a_sheet_has_one_remark_for_all_its_units() {
    let place = Place::new();
    let flags =
        ["sheet", "squeezenet1_1", "--layer", "relu1", "--units", "0-5", "--param", "pixel", "--lr", "1e-6"];
    let stderr = said(&place, &flags);
    let of_even: Vec<&str> = stderr.lines().filter(|l| l.contains("nearly even")).collect();
    assert!(matches!(of_even[..], [line] if line.contains("and 1 more")), "{stderr}");
    // A layer that is linear in the picture gains nothing from larger steps, so another remark is made.
    let linear = said(&place, &[&["sheet", "squeezenet1_1", "--layer", "conv1"], &flags[4..]].concat());
    assert!(linear.contains("conv1 is linear") && linear.contains("relu1"), "{linear}");
    assert!(!linear.contains("nearly even") && !linear.contains("stayed below zero"), "{linear}");
}

#[test]
fn recipes_of_the_pre_image_paper_ask_for_the_largest_activation_of_units_alone() {
    let place = Place::new();
    place.write("p.png", picture(40, 40));
    let guess = "taken for 1";
    let recipe = ["render", "squeezenet1_1", "--preset", "mahendran16"];
    let unit = said(&place, &[&recipe[..], &["--unit", "fire2:3"]].concat());
    assert!(unit.contains(guess), "{unit}");
    let compared = said(&place, &[&recipe[..], &["--objective", "inversion(fire2,p.png)"]].concat());
    assert!(!compared.contains(guess), "{compared}");
    let sheet = ["sheet", "squeezenet1_1", "--layer", "fire2", "--units", "3", "--preset", "mahendran16"];
    assert!(said(&place, &sheet).contains(guess));
}

#[test]
fn a_cppn_has_a_rate_of_its_own_and_statistics_are_used() {
    let place = Place::new();
    let settings = |name: &str| -> Preset {
        toml::from_str(text_of(&place.path(name)).get("settings").unwrap()).unwrap()
    };
    let unit =
        ["render", "squeezenet1_1", "--unit", "fire2:3", "--size", "32", "--steps", "1", "--out", "a.png"];
    place.succeed(&[&unit[..], &["--param", "cppn"]].concat());
    assert_eq!(settings("a.png").optimizer.learning_rate, 0.005);
    place.succeed(&[&unit[..], &["--param", "cppn", "--lr", "0.02"]].concat());
    assert_eq!(settings("a.png").optimizer.learning_rate, 0.02);

    std::fs::create_dir(place.path("photos")).unwrap();
    place.write("photos/p.png", picture(40, 30));
    place.write("photos/q.png", picture(30, 40));
    place.succeed(&["statistics", "photos", "--size", "32", "--out", "own.safetensors"]);
    place.succeed(&unit);
    let usual = place.read("a.png");
    let own = ["--statistics", "own.safetensors"];
    let outcome = place.run(&[&unit[..], &own].concat());
    assert!(outcome.stderr.contains("decorrelated by own.safetensors"), "{}", outcome.stderr);
    assert!(place.read("a.png") != usual, "the statistics changed nothing");
    let text = toml::to_string(&settings("a.png")).unwrap();
    assert!(text.contains("decorrelate = \"data\""), "{text}");
    // An explicit setting has precedence over the one that follows from `--statistics`.
    let outcome = place.run(&[&unit[..], &own, &["--set", "param.fourier.decorrelate=imagenet"]].concat());
    assert!(!outcome.stderr.contains("decorrelated by"), "{}", outcome.stderr);
}

#[test]
fn channels_that_are_silent_on_average_are_pointed_to_their_relu() {
    let place = Place::new();
    let sheet = |layer| {
        let flags = ["sheet", "squeezenet1_1", "--layer", layer, "--units", "0-31"];
        // The steps are so small that channels below zero stay there.
        said(&place, &[&flags[..], &["--lr", "1e-6", "--param", "pixel"]].concat())
    };
    let stderr = sheet("fire2.expand3x3");
    let early = "fire2.expand3x3 is in front of its activation function";
    assert!(stderr.contains(early) && stderr.contains("fire2.relu_2 counts only"), "{stderr}");
    assert!(stderr.contains("more stayed below zero"), "{stderr}");
    assert!(stderr.contains("fire2.relu_2 shows what makes channels fire"), "{stderr}");
    let behind = sheet("fire2.relu_2");
    assert!(!behind.contains("below zero") && !behind.contains("activation function"), "{behind}");
}

#[test]
fn what_would_be_lost_or_misread_is_said() {
    let place = Place::new();
    let quick = ["--size", "32", "--steps", "1"];
    let said = |args: &[&str]| place.run(args).stderr;
    // A result at a default path replaces that of an earlier run.
    let render = [&["render", "squeezenet1_1", "--unit", "fire2:3"][..], &quick].concat();
    assert!(!said(&render).contains("replaced"));
    assert!(said(&render).contains("fire2-3.png is there already and will be replaced"));
    assert!(!said(&[&render[..], &["--out", "fire2-3.png"]].concat()).contains("replaced"));
    let sheet = [&["sheet", "squeezenet1_1", "--layer", "fire2", "--units", "0,1"][..], &quick].concat();
    assert!(!said(&sheet).contains("replaced"));
    assert!(said(&sheet).contains("sheet.png is there already and will be replaced"));
    // A class name was given where a layer's name is expected.
    let class = said(&["render", "squeezenet1_1", "--unit", "goldfish", "--out", "x.png"]);
    assert!(class.contains("no layer is called \"goldfish\"") && class.contains("class:goldfish"), "{class}");
    // An input that contains NaN.
    let mut numbers = vec![0.5f32; 3 * 32 * 32];
    numbers[7] = f32::NAN;
    place.write("x.npy", crate::files::npy(&[1, 3, 32, 32], &numbers));
    let run = said(&["run", "squeezenet1_1", "--input", "x=x.npy", "--capture", "fire2", "--out", "o.st"]);
    assert!(run.contains("act/fire2 hold NaN or infinite numbers, and so do the inputs x"), "{run}");
    let image = said(&["invert", "squeezenet1_1", "x.npy", "--layer", "fire2"]);
    assert!(image.contains("x.npy") && image.contains("bands"), "{image}");
    // A mean in units of 0 to 255, without the matching range.
    place.borrow("plain2d.legacy.onnx", "net.onnx");
    let mean = ["--mean", "123.7,116.3,103.5", "--std", "58,57,57"];
    let scene = [&["render", "net.onnx", "--unit", "output:1", "--out", "m.png"][..], &quick, &mean].concat();
    assert!(said(&scene).contains("--range 255"), "{}", said(&scene));
}

#[test]
fn no_steps_are_none_also_where_a_recipe_settles() {
    let place = Place::new();
    let render = |steps: &str| {
        let args = [
            "render",
            "squeezenet1_1",
            "--unit",
            "fire2:3",
            "--preset",
            "mahendran16",
            "--size",
            "32",
            "--json",
            "--steps",
            steps,
            "--out",
            "a.png",
        ];
        place.json(&args)["units"][0]["steps"].as_u64().unwrap()
    };
    assert_eq!([render("0"), render("3")], [0, 53]);
}
