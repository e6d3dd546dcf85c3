use super::*;

const WHITE: [f32; 3] = [1.0; 3];

fn color(number: usize) -> [f32; 3] {
    series::PALETTE[number].map(|value| f32::from(value) / 255.0)
}

/// Returns the pixels that have exactly this colour.
fn pixels(image: &Image, color: [f32; 3]) -> Vec<(usize, usize)> {
    let all = (0..image.height).flat_map(|y| (0..image.width).map(move |x| (x, y)));
    all.filter(|&(x, y)| image.pixel(x, y) == color).collect()
}

#[test]
fn a_point_is_drawn_where_its_values_lie_between_the_ends_of_the_axes() {
    let plot = Plot::new(400, 300)
        .x_range(0.0, 10.0)
        .y_range(-1.0, 1.0)
        .series(Series::line("", &[(2.0, 0.5), (8.0, 0.5)]));
    let frame = layout::layout(&plot).unwrap().frame;
    let at = |x: f64, y: f64| {
        let (width, height) = ((frame.right - frame.left) as f64, (frame.bottom - frame.top) as f64);
        (
            (frame.left as f64 + x * width).round() as usize,
            (frame.bottom as f64 - y * height).round() as usize,
        )
    };
    let image = plot.render().unwrap();
    let blue = color(0);
    for x in [0.2, 0.35, 0.65, 0.8] {
        let (x, y) = at(x, 0.75);
        assert_eq!(image.pixel(x, y), blue, "{x},{y}");
        assert_ne!(image.pixel(x, y + 8), blue);
    }
    for (x, y) in [at(0.15, 0.75), at(0.85, 0.75), at(0.35, 0.25)] {
        assert_ne!(image.pixel(x, y), blue, "{x},{y}");
    }
    assert_eq!((image.width, image.height), (400, 300));
    for (x, y) in [(0, 0), (399, 0), (0, 299), (399, 299), (200, 5)] {
        assert_eq!(image.pixel(x, y), WHITE);
    }
}

#[test]
fn a_line_stops_at_a_gap_and_a_band_is_paler_than_its_line() {
    let points = [(0.0, 1.0), (1.0, 1.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, f64::INFINITY), (5.0, 1.0)];
    let bounds = [(0.5, 1.5); 6];
    let plot = Plot::new(500, 300).y_range(0.0, 2.0).series(Series::line("", &points).band(&bounds));
    let layout = layout::layout(&plot).unwrap();
    let image = plot.render().unwrap();
    let at = |x: f64, y: f64| {
        let (x, y) = (layout.x_at(layout.x.place(x).unwrap()), layout.y_at(layout.y.place(y).unwrap()));
        image.pixel(x.round() as usize, y.round() as usize)
    };
    assert_eq!(at(0.5, 1.0), color(0));
    assert_eq!(at(3.0, 1.0), color(0), "a point between gaps has its marker");
    for x in [1.5, 2.5, 3.5, 4.5] {
        assert_ne!(at(x, 1.0), color(0), "{x}");
    }
    let (pale, paper) = (at(0.45, 1.3), at(0.45, 1.7));
    assert!(paper == WHITE && pale[0] < 0.95 && pale[0] > color(0)[0] + 0.3, "{pale:?}");
}

#[test]
fn bars_reach_from_zero_to_their_values_and_stand_side_by_side() {
    let plot = Plot::new(400, 300)
        .x_names(&["a", "b"])
        .series(Series::bars("", &[(0.0, 4.0), (1.0, -2.0)]))
        .series(Series::bars("", &[(0.0, 2.0), (1.0, f64::NAN)]));
    let layout = layout::layout(&plot).unwrap();
    let y = |value: f64| layout.y_at(layout.y.place(value).unwrap()).round() as usize;
    let image = plot.render().unwrap();
    let (first, second) = (pixels(&image, color(0)), pixels(&image, color(1)));
    let rows = |pixels: &[(usize, usize)]| {
        (pixels.iter().map(|p| p.1).min().unwrap(), pixels.iter().map(|p| p.1).max().unwrap())
    };
    assert_eq!(rows(&first), (y(4.0), y(-2.0)));
    assert_eq!(rows(&second).0, y(2.0));
    let left_bar = first.iter().filter(|p| p.1 < y(0.0)).map(|p| p.0).max().unwrap();
    assert_eq!(second.iter().map(|p| p.0).min().unwrap(), left_bar + 2, "a pixel apart");
}

#[test]
fn bins_of_a_histogram_touch_and_differ_in_width() {
    let plot = Plot::new(400, 300).series(Series::histogram("", &[0.0, 1.0, 4.0], &[3.0, 1.0]));
    let layout = layout::layout(&plot).unwrap();
    let image = plot.render().unwrap();
    let at = |x: f64, y: f64| {
        let (x, y) = (layout.x_at(layout.x.place(x).unwrap()), layout.y_at(layout.y.place(y).unwrap()));
        image.pixel(x.round() as usize, y.round() as usize)
    };
    let fill = at(0.5, 1.7);
    assert_ne!(fill, WHITE);
    assert_eq!((at(2.5, 0.7), at(2.5, 1.7)), (fill, WHITE));
    assert_eq!(at(2.5, 1.0), color(0), "its outline");
}

#[test]
fn names_without_room_are_turned_and_then_thinned() {
    let names = |count: usize| (0..count).map(|i| format!("layer{i}")).collect::<Vec<_>>();
    let plot = |count: usize| Plot::new(400, 300).x_names(&names(count));
    let marks = |count: usize| {
        let layout = layout::layout(&plot(count)).unwrap();
        (layout.turned, layout.x_ticks.marks.len())
    };
    assert_eq!(marks(4), (false, 4));
    assert_eq!(marks(15), (true, 15));
    let (turned, many) = marks(200);
    assert!(turned && (12..=25).contains(&many), "{many}");
}

#[test]
fn data_of_every_kind_is_drawn_without_a_panic_and_always_the_same() {
    let huge = [(-1e300, 1e300), (1e300, -1e300), (0.0, 1e308)];
    let cases: Vec<(&str, Vec<(f64, f64)>)> = vec![
        ("empty", vec![]),
        ("one", vec![(3.0, 4.0)]),
        ("equal", vec![(1.0, 2.0); 5]),
        ("zeros", vec![(0.0, 0.0); 2]),
        ("gaps alone", vec![(f64::NAN, 1.0), (1.0, f64::NEG_INFINITY)]),
        ("huge", huge.to_vec()),
        ("tiny", vec![(0.0, 0.0), (5e-324, 1e-310)]),
        ("near", vec![(1.0, 1.0), (1.0 + f64::EPSILON, 1.0 + 2.0 * f64::EPSILON)]),
        ("negative", vec![(-2.0, -5.0), (-1.0, -3.0)]),
        ("backwards", vec![(3.0, 1.0), (1.0, 2.0), (2.0, 0.0)]),
        ("thousands", (0..3000).map(|i| (f64::from(i), f64::from(i * 7919 % 1000))).collect()),
    ];
    for (what, points) in &cases {
        let bounds: Vec<_> = points.iter().map(|&(_, y)| (y - 1.0, y * 2.0)).collect();
        for log in [false, true] {
            for series in [
                Series::line("s", points).band(&bounds),
                Series::points("s", points).error_bars(&vec![0.5; points.len()]),
                Series::bars("s", points).error_bars(&vec![f64::NAN; points.len()]),
            ] {
                let mut plot = Plot::new(300, 200).title(*what).series(series);
                if log {
                    plot = plot.log_x().log_y();
                }
                let image = plot.render().unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(image.data.iter().all(|value| (0.0..=1.0).contains(value)), "{what}");
                assert_eq!(image, plot.render().unwrap(), "{what}");
                let narrow = plot.x_range(1.0, 1.0 + 1e-9).y_range(1e-290, 2e-290).render();
                assert!(narrow.is_ok(), "{what}");
            }
        }
    }
    assert!(Plot::new(300, 200).render().is_ok());
}

#[test]
fn what_cannot_be_drawn_is_named() {
    let line = || Series::line("loss", &[(0.0, 1.0), (1.0, 2.0)]);
    let long = "a name that is far too long for so small a plot";
    let cases = [
        (Plot::new(100, 500), "at least 240×160 pixels; this one has 100×500"),
        (Plot::new(1 << 20, 1 << 20), "the limit is 134 million"),
        (
            Plot::new(300, 200).series(line().band(&[(0.0, 1.0)])),
            "`loss` has 2 values and 1 band bounds; it needs 2",
        ),
        (Plot::new(300, 200).series(line().error_bars(&[1.0; 3])), "3 error bars"),
        (
            Plot::new(300, 200).series(Series::histogram("h", &[0.0, 1.0], &[1.0; 3])),
            "2 edges of bins; it needs 4",
        ),
        (Plot::new(300, 200).series(line()).x_names(&["a"]), "a point at x = 1, and the 1 names"),
        (Plot::new(300, 200).y_range(2.0, 1.0), "the y range 2 to 1 is none"),
        (Plot::new(300, 200).log_x().x_range(0.0, 1.0), "above zero on a logarithmic axis"),
        ((0..12).fold(Plot::new(240, 160), |p, _| p.series(Series::line(long, &[]))), "leave too little"),
    ];
    for (plot, expected) in cases {
        let error = plot.render().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn more_series_than_colours_still_differ() {
    let many = (0..8).fold(Plot::new(500, 300), |plot, i| {
        plot.series(Series::points("", &[(f64::from(i), f64::from(i))]))
    });
    let image = many.render().unwrap();
    for (i, color) in (0..7).map(|i| (i, color(i))) {
        assert!(!pixels(&image, color).is_empty(), "series {i}");
    }
    let one = |number: usize| pixels(&image, color(0)).len() > number;
    assert!(one(60), "the eighth begins the palette anew");
}
