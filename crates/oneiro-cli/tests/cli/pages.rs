//! HTML pages: of a sheet, of kernels, of a whole network.

use crate::place::Place;
use crate::units::place;

fn page(place: &Place, file: &str) -> String {
    String::from_utf8(place.read(file)).unwrap()
}

#[test]
fn the_page_of_a_sheet_holds_its_pictures_and_is_made_again() {
    let place = place();
    let sheet = ["sheet", "net.onnx", "-l", "left.conv", "--units", "0-2", "--class", "owl", "--steps", "2"];
    let report = place.json(&[&sheet[..], &["--out", "s.png", "--html", "s.html", "--json"]].concat());
    assert!(report["files"].to_string().contains("s.html"), "{report}");
    let html = page(&place, "s.html");
    assert_eq!(html.matches("src=\"data:image/png;base64,").count(), 4);
    for word in
        ["left.conv</h2>", "<strong>channel 2</strong>", "<strong>owl</strong>", "channel(left.conv,0)"]
    {
        assert!(html.contains(word), "{word}");
    }
    assert!(!html.contains("http") && !html.contains("<a href=\"data:"), "opens from disk alone");
    for file in ["s.png", "s.html"] {
        assert_eq!(place.json(&["again", file, "--json"])["identical"], true, "{file}");
    }
}

#[test]
fn kernels_have_a_page_too() {
    let place = place();
    place.succeed(&["sheet", "net.onnx", "--kernels", "left.conv", "--out", "k.png", "--html", "k.html"]);
    let html = page(&place, "k.html");
    assert!(html.contains("src=\"data:image/png") && html.contains("<span>norm "), "{html}");
    assert_eq!(place.json(&["again", "k.html", "--json"])["identical"], true);
}

#[test]
fn a_page_shows_layers_and_classes_of_any_network() {
    let place = place();
    place.succeed(&["demo", "--model", "net.onnx", "--steps", "1", "--out", "net"]);
    let html = page(&place, "net/index.html");
    assert!(html.contains("<h2>classes</h2>") && html.contains("<strong>owl</strong>"), "{html}");
    assert!(html.contains("All 4 classes") && !html.contains("SqueezeNet"), "{html}");
    // The network takes 24x20 pixels only, and the pictures are larger than that.
    let picture = oneiro_media::read_image(place.path("net/class-owl.png")).unwrap();
    assert_eq!((picture.height, picture.width), (128, 128));
    assert_eq!(place.json(&["again", "net/index.html", "--json"])["identical"], true);
}

#[test]
fn images_stand_beside_the_pictures_of_a_network() {
    let place = place();
    for i in 0..4 {
        place.write(&format!("photos/cat/{i}.png"), crate::scan::photo(i));
    }
    place.succeed(&["demo", "--model", "net.onnx", "--steps", "1", "--data", "photos", "--out", "net"]);
    let html = page(&place, "net/index.html");
    let figures = html.matches("<figure").count();
    assert_eq!(html.matches("<span>images: ").count() + html.matches("<span>no image").count(), figures);
    // Of the classes, the one that the images are of.
    assert!(html.contains("1 of 4 classes") && html.contains("<strong>cat</strong>"), "{html}");
    assert!(html.contains("To the right of each picture") && html.contains("class=\"grid wide\""), "{html}");
    assert_eq!(place.json(&["again", "net/index.html", "--json"])["identical"], true);
}

#[test]
fn a_unit_that_never_fired_is_marked() {
    let place = Place::new();
    let sheet = ["sheet", "squeezenet1_1", "--unit", "relu1:1,15", "--param", "pixel", "--lr", "1e-6"];
    place.succeed(
        &[&sheet[..], &["--size", "32", "--steps", "2", "--out", "s.png", "--html", "s.html"]].concat(),
    );
    let html = page(&place, "s.html");
    assert_eq!(html.matches("<span>never fired").count(), 1, "{html}");
}

#[test]
fn a_page_has_the_name_of_one() {
    let place = place();
    let outcome = place.run(&["sheet", "net.onnx", "-l", "left.conv", "--html", "s.png"]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("ends in .html"), "{outcome:?}");
    let outcome = place.run(&["demo", "--model", "absent.onnx"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("absent.onnx"), "{outcome:?}");
}
