use super::*;

const WHITE: [f32; 3] = [1.0; 3];
const RED: [f32; 3] = [1.0, 0.0, 0.0];

fn cell(width: usize, height: usize) -> Cell {
    Cell::new(Image::filled(width, height, RED))
}

fn is_red(sheet: &Image, x: usize, y: usize) -> bool {
    sheet.pixel(x, y) == RED
}

#[test]
fn pictures_without_words_have_equal_margins_and_gaps() {
    let sheet = Sheet::new(3).margin(5).gap(4).cells((0..5).map(|_| cell(10, 20))).render().unwrap();
    assert_eq!((sheet.width, sheet.height), (5 + 3 * 10 + 2 * 4 + 5, 5 + 20 + 6 + 20 + 5));
    for (x, y, red) in
        [(4, 5, false), (5, 5, true), (14, 24, true), (15, 5, false), (19, 5, true), (5, 31, true)]
    {
        assert_eq!(is_red(&sheet, x, y), red, "{x},{y}");
    }
    assert_eq!(sheet.pixel(34, 40), WHITE, "the sixth cell is empty");
}

#[test]
fn a_sheet_of_few_pictures_is_not_padded_to_its_columns() {
    let sheet = Sheet::new(8).margin(1).cell(cell(10, 10)).render().unwrap();
    assert_eq!((sheet.width, sheet.height), (12, 12));
}

#[test]
fn pictures_of_a_row_stand_on_one_line() {
    let sheet = Sheet::new(2).margin(0).gap(0).cell(cell(10, 10)).cell(cell(6, 4)).render().unwrap();
    assert_eq!((sheet.width, sheet.height), (16, 10));
    assert!(!is_red(&sheet, 10, 5) && is_red(&sheet, 10, 6) && is_red(&sheet, 15, 9));
}

#[test]
fn small_pictures_beside_a_large_one_are_enlarged_by_whole_factors() {
    let row = || Sheet::new(3).margin(0).gap(2).cell(cell(20, 20)).cell(cell(6, 6)).cell(cell(4, 9));
    let sheet = row().render().unwrap();
    // The smaller pictures are enlarged: the one 6 pixels high three times, the one 9 high twice.
    assert_eq!((sheet.width, sheet.height), (20 + 2 + 18 + 2 + 8, 20));
    assert!(is_red(&sheet, 22, 2) && !is_red(&sheet, 22, 1) && is_red(&sheet, 39, 19));
    assert!(is_red(&sheet, 42, 2) && is_red(&sheet, 49, 19));
    let sheet = row().one_scale().render().unwrap();
    assert_eq!((sheet.width, sheet.height), (20 + 2 + 6 + 2 + 4, 20));
}

#[test]
fn rows_of_equally_many_cells_share_their_columns_and_others_have_their_own() {
    let sheet = Sheet::new(4)
        .margin(0)
        .gap(0)
        .row("")
        .cells([cell(30, 10), cell(10, 10)])
        .row("")
        .cells([cell(20, 10), cell(10, 10)])
        .row("")
        .cells((0..4).map(|_| cell(8, 10)))
        .render()
        .unwrap();
    assert_eq!((sheet.width, sheet.height), (40, 30));
    assert!(is_red(&sheet, 19, 15) && !is_red(&sheet, 20, 15) && is_red(&sheet, 30, 15));
    assert!(is_red(&sheet, 31, 25) && !is_red(&sheet, 32, 25));
}

#[test]
fn transparent_pixels_show_a_checkerboard() {
    let alpha = [vec![0.0; 128], vec![0.5; 64], vec![1.0; 64]].concat();
    let see_through = |alpha| Cell::new(Image::filled(16, 16, RED)).alpha(alpha);
    let sheet = Sheet::new(1).margin(0).cell(see_through(alpha)).render().unwrap();
    let [light, dark] = CHECKER_GREYS;
    assert_eq!((sheet.pixel(0, 0), sheet.pixel(8, 0)), ([light; 3], [dark; 3]));
    assert_eq!(sheet.pixel(0, 8), [0.5 + dark / 2.0, dark / 2.0, dark / 2.0]);
    assert_eq!(sheet.pixel(15, 15), RED);
    let error = Sheet::new(1).cell(see_through(vec![1.0; 3])).render().unwrap_err().to_string();
    assert!(error.contains("16×16 pixels needs one alpha value a pixel; 3 were given"), "{error}");
}

#[test]
fn a_long_label_is_wrapped_as_far_as_its_row_is_high() {
    let name = "features.denseblock4.denselayer16.conv2 of the network trained on scrambled pictures";
    let inked_rows = |height: usize| {
        let sheet = Sheet::new(1).row(name).cell(cell(30, height)).render().unwrap();
        let inked = |y: usize| (24..sheet.width - 24 - 30).any(|x| sheet.pixel(x, y) != WHITE);
        let rows = (0..sheet.height).filter(|&y| inked(y)).count();
        let red = (0..sheet.width).find(|&x| is_red(&sheet, x, sheet.height / 2)).unwrap();
        assert!(red <= 24 + MAX_LABEL + LABEL_SPACE, "{red}");
        let clear = (red - LABEL_SPACE..red).all(|x| (0..sheet.height).all(|y| sheet.pixel(x, y) == WHITE));
        assert!(clear, "the label meets the picture");
        rows
    };
    assert!(inked_rows(10) < 17);
    assert!(inked_rows(100) > 30);
}

#[test]
fn captions_wrap_within_their_cells() {
    let words = "predictability .93 natural, .87 picture (chance .33 to .67)";
    let sheet = |lines: usize| {
        let cells = [cell(128, 20).caption(words).caption("b"), cell(128, 20).caption("a")];
        Sheet::new(2).margin(0).gap(0).caption_lines(lines).cells(cells).render().unwrap()
    };
    let (one, three) = (sheet(1), sheet(3));
    assert_eq!((one.width, one.height), (256, 20 + CAPTION_SPACE + 2 * CAPTION_LINE));
    assert!(three.height >= one.height + CAPTION_LINE && three.width == one.width);
    let wrapped = |words: &str, lines: usize| {
        let sheet = Sheet::new(1).caption_lines(lines).cell(cell(128, 20).caption(words));
        let lines = sheet.layout().unwrap().lines[0].captions[0].clone();
        lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(wrapped(words, 3), words);
    // The longest captions of small pictures are whole in six lines.
    for long in [
        "path -.0193, not as natural images (honest units: above .45)",
        "predictability .38 natural [as chance], .22 picture [below chance] (chance .33 to .67)",
    ] {
        assert_eq!(wrapped(long, 6), long);
    }
}

#[test]
fn zoomed_pixels_are_squares() {
    let image = Image::rgb(2, 1, vec![0.0, 1.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
    let sheet = Sheet::new(1).margin(0).zoom(3).cell(Cell::new(image)).render().unwrap();
    assert_eq!((sheet.width, sheet.height), (6, 3));
    assert!(!is_red(&sheet, 2, 2) && is_red(&sheet, 3, 0) && is_red(&sheet, 5, 2));
}

#[test]
fn captions_labels_and_titles_leave_ink_in_their_places_alone() {
    let picture = || cell(40, 30).caption("unit 1").caption("a caption that is far too long for its cell");
    let plain = Sheet::new(2).row("").cell(picture()).cell(picture()).render().unwrap();
    let full = Sheet::new(2)
        .title("A title")
        .subtitle("and what it means")
        .row("fire2")
        .cell(picture())
        .cell(picture())
        .render()
        .unwrap();
    assert!(full.width > plain.width && full.height > plain.height);
    // The margins and the gap between the two cells' captions contain no letters.
    let ink = |x: usize, y: usize| full.pixel(x, y) != WHITE;
    for y in 0..full.height {
        assert!((0..24).chain(full.width - 24..full.width).all(|x| !ink(x, y)), "row {y}");
    }
    let foot = plain.height - 24 - 2 * CAPTION_LINE;
    let between = |x: usize| (foot..plain.height).all(|y| plain.pixel(x, y) == WHITE);
    assert!((24 + 41..24 + 40 + 11).all(between));
    assert!((foot..plain.height).any(|y| (24..64).any(|x| plain.pixel(x, y) != WHITE)), "no caption");
}

#[test]
fn letters_contrast_with_light_and_dark_paper() {
    for (background, dark_ink) in [([255; 3], true), ([20, 22, 26], false), ([250, 250, 200], true)] {
        let sheet = Sheet::new(1).background(background).cell(cell(60, 4).caption("HHHH")).render().unwrap();
        let paper = f32::from(background[1]) / 255.0;
        let extreme = sheet.plane(1)[sheet.width * (24 + 4 + CAPTION_SPACE)..]
            .iter()
            .copied()
            .max_by(|a, b| (a - paper).abs().total_cmp(&(b - paper).abs()))
            .unwrap();
        assert_eq!(extreme < paper, dark_ink, "{background:?}");
        assert!((extreme - paper).abs() > 0.6, "{background:?}: {extreme} on {paper}");
    }
}

#[test]
fn sheets_without_pictures_or_beyond_the_limit_are_errors() {
    assert!(Sheet::new(2).title("nothing").row("fire2").render().is_err());
    let error = Sheet::new(1).zoom(100_000).cell(cell(2, 2)).render().unwrap_err().to_string();
    assert!(error.contains("200048×200048 pixels"), "{error}");
}
