//! Presets: they are listed, written, read, changed and compared.

use oneiro::preset::Preset;
use serde_json::{Value, json};

use crate::bad_input::refuse_all;
use crate::files::{picture, text_of};
use crate::place::Place;

const RENDER: &[&str] = &["render", "squeezenet1_1", "--unit", "fire2:3", "-q"];

/// Returns the settings recorded in a picture.
fn settings_of(place: &Place, name: &str) -> Preset {
    toml::from_str(text_of(&place.path(name)).get("settings").unwrap()).unwrap()
}

#[test]
fn every_recipe_is_listed_and_written_so_that_it_can_be_read() {
    let place = Place::new();
    let list = place.succeed(&["presets"]);
    let object = place.json(&["presets", "--json"]);
    let all = Preset::all();
    assert_eq!(object.as_object().map(serde_json::Map::len), Some(all.len()));
    for preset in &all {
        assert!(
            list.lines().any(|l| l.starts_with(&format!("{} ", preset.name))),
            "{} in {list}",
            preset.name
        );
        let text = place.succeed(&["presets", &preset.name]);
        assert!(text.starts_with("# "), "{text}");
        assert_eq!(&toml::from_str::<Preset>(&text).unwrap(), preset);
        assert_eq!(&serde_json::from_value::<Preset>(object[&preset.name].clone()).unwrap(), preset);
    }
    let two = place.json(&["presets", "lucid", "maco", "--json"]);
    assert_eq!(two.as_object().unwrap().keys().collect::<Vec<_>>(), ["lucid", "maco"]);
}

#[test]
fn a_recipe_that_was_saved_makes_the_same_picture_and_is_made_again() {
    let place = Place::new();
    let flags = ["--size", "48", "--steps", "3", "--transform", "jitter(2)", "--views", "2", "--lr", "0.2"];
    let more = ["--set", "param.fourier.decay=0.8", "--set", "optimizer.schedule=linear(0.1)"];
    let out = ["--save-preset", "mine.toml", "--out", "a.png", "--json"];
    let said = place.json(&[RENDER, &flags, &more, &out].concat());
    assert_eq!(said["files"], json!(["a.png", "mine.toml"]));
    let saved: Preset = toml::from_str(&String::from_utf8(place.read("mine.toml")).unwrap()).unwrap();
    assert_eq!((saved.size, saved.steps, saved.views), (Some([48, 48]), 3, 2));
    assert_eq!(settings_of(&place, "a.png"), saved);
    place.succeed(&[RENDER, &["--preset", "mine.toml", "--out", "b.png"]].concat());
    assert!(place.read("a.png") == place.read("b.png"), "another picture from the recipe that was saved");
    // The picture records the preset itself, not its file's name.
    std::fs::remove_file(place.path("mine.toml")).unwrap();
    let again = place.json(&["again", "b.png", "--json", "-q"]);
    assert_eq!(again["identical"], true);
}

#[test]
fn a_size_can_be_set_as_by_its_flag_on_every_command() {
    let place = Place::new();
    place.write("cat.png", picture(70, 60));
    let net = "squeezenet1_1";
    let commands: &[&[&str]] = &[
        &["render", net, "--unit", "fire2:3"],
        &["sheet", net, "--layer", "fire2", "--units", "3"],
        &["invert", net, "cat.png", "--layer", "fire2"],
        &["caricature", net, "cat.png", "--layer", "fire2"],
        &["accentuate", net, "cat.png", "--unit", "fire2:3"],
        &["interpolate", net, "--from-unit", "fire2:3", "--to-unit", "fire2:4", "--frames", "2"],
    ];
    for command in commands {
        let made = |size: [&str; 2]| {
            place.succeed(&[command, &size[..], &["--steps", "1", "--out", "a.png", "-q"]].concat());
            place.read("a.png")
        };
        assert!(made(["--size", "48"]) == made(["--set", "size=48"]), "{command:?}");
        let both = made(["--size", "48x64"]);
        for text in ["size=[48,64]", "size=48x64", " size = [ 48, 64 ] "] {
            assert!(both == made(["--set", text]), "{command:?} {text}");
        }
        assert_eq!(settings_of(&place, "a.png").size, Some([48, 64]));
    }
    refuse_all(
        &place,
        &[
            ("no size", "render squeezenet1_1 -u fire2:3 --set size=big", &["--set size=big", "HxW"]),
            ("too large", "render squeezenet1_1 -u fire2:3 --set size=99999", &["99999", "8192"]),
            ("of a grid", "grid squeezenet1_1 cat.png -l fire2 --set size=48", &["48x48", "--cell-size"]),
            // A size that the network does not accept is an error, as with `--size`.
            ("too small", "render squeezenet1_1 -u fire9:3 --set size=5", &["5x5", "--size"]),
        ],
    );
}

#[test]
fn any_setting_can_be_set_and_comes_after_the_other_flags() {
    let place = Place::new();
    let flags = ["--size", "48", "--steps", "9", "--out", "a.png"];
    let sets =
        ["steps=2", "transform=none", "optimizer.kind=sgd", "optimizer.learning_rate=2", "weight = 3.5"];
    let sets: Vec<&str> = sets.iter().flat_map(|s| ["--set", s]).collect();
    place.succeed(&[RENDER, &flags, &sets[..]].concat());
    let settings = settings_of(&place, "a.png");
    assert_eq!((settings.steps, settings.weight), (2, 3.5));
    assert_eq!(settings.transform.to_string(), "none");
    assert_eq!(
        (settings.optimizer.kind.to_string().as_str(), settings.optimizer.learning_rate),
        ("sgd", 2.0)
    );
    // If a setting is given several times, the last value counts.
    place.succeed(&[RENDER, &flags, &["--set", "steps=1", "--set", "steps=3"]].concat());
    assert_eq!(settings_of(&place, "a.png").steps, 3);
}

#[test]
fn a_sheet_compares_recipes_and_is_made_again() {
    let place = Place::new();
    place.write("mine.toml", place.succeed(&["presets", "conveiro"]));
    let args =
        ["sheet", "squeezenet1_1", "-l", "fire2", "--units", "3-4", "--size", "48", "--steps", "2", "-q"];
    for (names, shown) in
        [("lucid,conveiro", ["lucid", "conveiro"]), ("conveiro,mine.toml", ["conveiro", "conveiro"])]
    {
        let said = place.json(&[&args[..], &["--presets", names, "--out", "a.png", "--json"]].concat());
        let units = said["units"].as_array().unwrap();
        let of: Vec<_> =
            units.iter().map(|u| (u["unit"].as_str().unwrap(), u["preset"].as_str().unwrap())).collect();
        let [a, b] = shown;
        assert_eq!(of, [("fire2:3", a), ("fire2:4", a), ("fire2:3", b), ("fire2:4", b)]);
        let info = place.json(&["info", "a.png", "--json"]);
        let titles: Vec<&str> =
            info["layout"]["rows"].as_array().unwrap().iter().filter_map(|r| r["title"].as_str()).collect();
        let titles_due: Vec<String> = names.split(',').map(|name| format!("{name}: fire2")).collect();
        assert_eq!(titles, titles_due);
        let again = place.json(&["again", "a.png", "--out", "b.png", "--json", "-q"]);
        assert_eq!(again["identical"], true, "{names}");
        assert!(place.read("a.png") == place.read("b.png"), "{names}");
    }
}

#[test]
fn a_sheet_starts_from_a_picture_where_one_is_given() {
    let place = Place::new();
    place.write("cat.png", picture(60, 60));
    let args =
        ["sheet", "squeezenet1_1", "-l", "fire2", "--units", "3", "--size", "48", "--steps", "1", "-q"];
    let said: Value = place.json(&[&args[..], &["--from", "cat.png", "--out", "a.png", "--json"]].concat());
    assert_eq!(said["units"][0]["start"], "cat.png");
    place.succeed(&[&args[..], &["--out", "b.png"]].concat());
    assert!(place.read("a.png") != place.read("b.png"), "--from changes nothing");
}

#[test]
fn recipes_that_are_none_are_one_message_that_names_them() {
    let place = Place::new();
    let lucid = place.succeed(&["presets", "lucid"]);
    place.write("field.toml", format!("stepz = 3\n{lucid}"));
    place.write("type.toml", lucid.replace("steps = 512", "steps = \"many\""));
    place.write("broken.toml", "steps = ");
    place.write("sizes.toml", lucid.replace("steps = 512", "steps = 99999999"));
    std::fs::create_dir_all(place.path("folder.toml")).unwrap();
    let cases: &[(&str, &str, &[&str])] = &[
        ("unknown", "render NET --preset luzid", &["luzid", "lucid", ".toml"]),
        ("unknown to list", "presets luzid", &["luzid", "lucid"]),
        ("unknown in a sheet", "sheet squeezenet1_1 -l fire2 --presets lucid,luzid", &["luzid", "lucid"]),
        ("no file", "render NET --preset none.toml", &["none.toml"]),
        ("a folder", "render NET --preset folder.toml", &["folder.toml"]),
        ("unknown field", "render NET --preset field.toml", &["field.toml", "stepz"]),
        ("wrong type", "render NET --preset type.toml", &["type.toml", "many"]),
        ("no TOML", "render NET --preset broken.toml", &["broken.toml"]),
        ("too many steps", "render NET --preset sizes.toml", &["99999999"]),
        ("unknown key", "render NET --set stepz=3", &["--set stepz=3", "steps"]),
        ("unknown inner key", "render NET --set param.fourier.dekay=3", &["dekay", "decay"]),
        ("key of another thing", "render NET --set steps.x=3", &["--set steps.x=3"]),
        ("wrong type of a key", "render NET --set steps=many", &["--set steps=many"]),
        ("table as number", "render NET --set param.fourier=3", &["--set param.fourier=3"]),
        ("no value", "render NET --set steps", &["--set steps", "KEY=VALUE"]),
        ("empty value", "render NET --set steps=", &["--set steps=", "KEY=VALUE"]),
        ("value out of range", "render NET --set optimizer.learning_rate=-1", &["learning"]),
        ("both", "sheet squeezenet1_1 -l fire2 --presets lucid,maco --preset lucid", &["--presets"]),
        (
            "which to save",
            "sheet squeezenet1_1 -l fire2 --presets lucid,maco --save-preset s.toml",
            &["--save-preset"],
        ),
        ("saved before a failure", "render squeezenet1_1 -u fire2:999 --save-preset s.toml", &["999"]),
        ("saved nowhere", "render NET --save-preset none/s.toml", &["none"]),
        ("saved over a folder", "render NET --save-preset folder.toml", &["folder.toml"]),
        (
            "saved over another result",
            "render NET --save-preset a.toml --raw a.toml --out a.png",
            &["a.toml", "another result"],
        ),
        (
            "saved under the name of a picture",
            "render NET --save-preset a.png --out a.png",
            &["a.png", ".toml"],
        ),
    ];
    let commands: Vec<String> = cases
        .iter()
        .map(|(_, command, _)| command.replace("NET", "squeezenet1_1 -u fire2:3 --size 48"))
        .collect();
    let cases: Vec<_> = cases
        .iter()
        .zip(&commands)
        .map(|((name, _, says), command)| (*name, command.as_str(), *says))
        .collect();
    refuse_all(&place, &cases);
}

#[test]
fn the_size_is_that_of_the_picture_also_where_the_network_sees_boxes_of_it() {
    let place = Place::new();
    place
        .succeed(&[RENDER, &["--preset", "maco", "--size", "60", "--steps", "1", "--out", "m.png"]].concat());
    let settings = settings_of(&place, "m.png");
    assert_eq!((settings.picture, settings.size), (Some([60, 60]), Preset::named("maco").unwrap().size));
    let image = oneiro_media::read_image(place.path("m.png")).unwrap();
    assert_eq!([image.height, image.width], [60, 60]);
}

#[test]
fn recipes_side_by_side_are_shown_at_one_size() {
    let place = Place::new();
    place.write("small.toml", place_of_size(40));
    place.write("large.toml", place_of_size(80));
    let sheet = ["sheet", "squeezenet1_1", "--layer", "fire2", "--units", "1", "--steps", "1", "-q"];
    place.succeed(&[&sheet[..], &["--presets", "small.toml,small.toml", "--out", "a.png"]].concat());
    place.succeed(&[&sheet[..], &["--presets", "small.toml,large.toml", "--out", "b.png"]].concat());
    let size = |name: &str| {
        let image = oneiro_media::read_image(place.path(name)).unwrap();
        [image.height, image.width]
    };
    assert_eq!(size("a.png"), size("b.png"));
    assert_eq!(place.json(&["again", "b.png", "--json", "-q"])["identical"], true);
}

/// Returns Lucid's preset as TOML, for square pictures with this side.
fn place_of_size(side: usize) -> String {
    toml::to_string(&Preset { size: Some([side; 2]), ..Preset::lucid() }).unwrap()
}

#[test]
fn recipes_of_another_command_are_pointed_to_it() {
    let place = Place::new();
    place.write("p.png", picture(40, 40));
    refuse_all(
        &place,
        &[
            ("dream's", "render squeezenet1_1 -u fire2:1 --preset deepdream", &["oneiro dream"]),
            (
                "render's",
                "dream squeezenet1_1 p.png --layer fire2 --preset maco",
                &["oneiro render", "deepdream"],
            ),
            (
                "two ways to say seeds",
                "invert squeezenet1_1 p.png -l fire2 --seed 1 --seeds 0-1",
                &["--seeds"],
            ),
            ("channels", "invert squeezenet1_1 p.png -l fire2 --channels 0-9999", &["128", "fire2"]),
        ],
    );
}

#[test]
fn a_picture_is_a_recipe_for_other_pictures() {
    let place = Place::new();
    let quick = ["--size", "32", "--steps", "2", "--set", "param.fourier.decay=1.5", "--seed", "3"];
    place.succeed(&[RENDER, &quick, &["--out", "a.png"]].concat());
    place.succeed(&[RENDER, &["--preset", "a.png", "--seed", "3", "--out", "b.png"]].concat());
    assert_eq!(place.read("a.png"), place.read("b.png"));
    let other = ["render", "squeezenet1_1", "--unit", "fire2:4", "--preset", "a.png", "--out", "c.png"];
    let outcome = place.run(&other);
    assert!(outcome.stderr.contains("a.png has the seed 3"), "{}", outcome.stderr);
    assert_eq!(settings_of(&place, "c.png"), settings_of(&place, "a.png"));
    place.write("photo.png", picture(40, 40));
    place.succeed(&["attribute", "squeezenet1_1", "photo.png", "--method", "gradient", "--out", "heat.png"]);
    let sheet = ["sheet", "squeezenet1_1", "--unit", "fire2:3", "--steps", "1", "--size", "32"];
    place.succeed(&[&sheet[..], &["--presets", "lucid,maco", "--out", "two.png"]].concat());
    refuse_all(
        &place,
        &[
            (
                "a photo",
                "render squeezenet1_1 --unit fire2:3 -q --preset photo.png",
                &["does not say how it was made"],
            ),
            (
                "a heat map",
                "render squeezenet1_1 --unit fire2:3 -q --preset heat.png",
                &["nothing is optimised"],
            ),
            (
                "two recipes",
                "render squeezenet1_1 --unit fire2:3 -q --preset two.png",
                &["several recipes: lucid, maco"],
            ),
            ("no file", "render squeezenet1_1 --unit fire2:3 -q --preset gone.png", &["gone.png"]),
        ],
    );
}

#[test]
fn a_picture_is_made_again_with_other_settings() {
    let place = Place::new();
    let of = |steps: &str, seed: &str, out: &str| {
        let flags = ["--size", "32", "--steps", steps, "--seed", seed, "--out", out];
        place.succeed(&[RENDER, &flags].concat());
    };
    of("2", "0", "a.png");
    of("3", "5", "b.png");
    let said = place.succeed(&["again", "a.png", "--steps", "3", "--seed", "5", "--out", "c.png"]);
    assert!(said.contains("made as a.png with steps=3, seed=5; value "), "{said}");
    assert_eq!(place.read("b.png"), place.read("c.png"));
    let faster = place.json(&["again", "a.png", "--lr", "0.5", "--out", "e.png", "--json"]);
    assert_eq!(faster["changed"], json!(["optimizer.learning_rate=0.5"]), "{faster}");
    assert_ne!(faster["value"]["before"], faster["value"]["after"]);
    place.succeed(&["again", "a.png", "--set", "steps=3", "--seed", "5", "--out", "d.png"]);
    assert_eq!(place.read("b.png"), place.read("d.png"));
    let report = place.json(&["again", "a.png", "--steps", "3", "--json"]);
    assert_eq!((&report["identical"], &report["files"][0]), (&Value::Null, &json!("a.again.png")));
    place.write("photo.png", picture(40, 40));
    place.succeed(&["attribute", "squeezenet1_1", "photo.png", "--method", "gradient", "--out", "heat.png"]);
    refuse_all(
        &place,
        &[
            ("a heat map", "again heat.png --steps 3", &["nothing is optimised"]),
            ("a setting that is none", "again a.png --set stepps=3", &["stepps"]),
            ("a value that is none", "again a.png --set steps=-3", &["--set steps=-3"]),
        ],
    );
}
