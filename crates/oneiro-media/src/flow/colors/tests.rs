use super::*;

fn flow(vectors: &[[f32; 2]]) -> Flow {
    let component = |i: usize| vectors.iter().map(move |vector| vector[i]);
    Flow::new(1, 1, vectors.len(), component(0).chain(component(1)).collect()).unwrap()
}

#[test]
fn channels_run_from_lowest_to_highest() {
    let flow = flow(&[[-3.0, 4.0], [1.0, 0.0], [0.0, 0.0]]);
    let own = flow_colors(&flow, FlowScaling::Channels).unwrap();
    assert_eq!(own.pixel(0, 0), [0.0, 1.0, 1.0]);
    assert_eq!(own.pixel(1, 0), [1.0, 0.0, 0.2]);
    assert_eq!(own.pixel(2, 0), [0.75, 0.0, 0.0]);
    let joint = flow_colors(&flow, FlowScaling::Joint).unwrap();
    assert_eq!(joint.pixel(0, 0), [0.0, 7.0 / 8.0, 1.0]);
    assert_eq!(joint.pixel(2, 0), [3.0 / 8.0; 3]);
}

#[test]
fn the_range_is_that_of_the_whole_stack() {
    let stack = Flow::stack(&[flow(&[[0.0, 0.0]]), flow(&[[2.0, 0.0]]), flow(&[[1.0, 0.0]])]).unwrap();
    let clip = flow_colors(&stack, FlowScaling::Channels).unwrap();
    assert_eq!((clip.frames, clip.data.as_slice()), (3, &[0.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.0, 1.0, 0.5][..]));
}

#[test]
fn a_stack_has_the_colours_of_its_fields_within_its_range() {
    let fields = [
        flow(&[[-3.0, 4.0], [f32::NAN, 0.0]]),
        flow(&[[1.0, 0.5], [0.0, 0.0]]),
        flow(&[[2.0, -1.0], [0.0, 9.0]]),
    ];
    let range = fields.iter().map(FlowRange::of).fold(FlowRange::default(), FlowRange::or);
    assert_eq!(range, FlowRange([(-3.0, 2.0), (-1.0, 9.0), (0.0, 9.0)]));
    for scaling in [FlowScaling::Channels, FlowScaling::Joint] {
        let whole = flow_colors(&Flow::stack(&fields).unwrap(), scaling).unwrap();
        for (t, field) in fields.iter().enumerate() {
            let one = flow_colors_within(field, scaling, range).unwrap();
            for channel in 0..3 {
                assert_eq!(one.plane(channel), whole.plane(3 * channel + t));
            }
        }
    }
}

#[test]
fn the_wheel_has_the_colours_of_middlebury() {
    // Right is red, left cyan, rest white; a vector twice as long as the fully saturated one is darker.
    let flow = flow(&[[1.0, 0.0], [0.0, 0.0], [0.5, 0.0], [2.0, 0.0], [f32::NAN, 0.0]]);
    let picture = flow_wheel(&flow, Some(1.0)).unwrap();
    let expected = [[1.0, 0.0, 0.0], [1.0; 3], [1.0, 0.5, 0.5], [0.75, 0.0, 0.0], [0.0; 3]];
    for (x, color) in expected.into_iter().enumerate() {
        let found = picture.pixel(x, 0);
        assert!(found.iter().zip(color).all(|(a, b)| (a - b).abs() < 1e-6), "{x}: {found:?}");
    }
    assert_eq!(wheel().len(), 55);
}

#[test]
fn arrows_point_where_the_flow_goes() {
    let mut data = vec![0.0; 2 * 64 * 64];
    data[..64 * 64].fill(3.0);
    let flow = Flow::new(1, 64, 64, data).unwrap();
    let options = ArrowOptions { step: Some(16), ..ArrowOptions::default() };
    let picture = draw_arrows(&flow, None, &options).unwrap();
    assert_eq!((picture.width, picture.height, picture.frames), (256, 256, 1));
    let light = |x: usize, y: usize| picture.pixel(x, y).iter().sum::<f32>();
    // A grid cell has 64 drawn pixels. The first arrow begins at (32, 32) and is 80 long. Between rows of
    // arrows the drawing is empty.
    assert!(light(36, 32) > 1.5 && light(100, 32) > 1.5 && light(36, 60) < 0.4);
    let columns: Vec<usize> = (0..256).filter(|&x| light(x, 32) > 1.5).collect();
    assert!(columns[0] >= 30 && columns[columns.len() - 1] > 250);
}

#[test]
fn arrows_lie_over_dimmed_frames_and_rest_is_a_dot() {
    let flow = Flow::new(2, 8, 8, vec![0.0; 256]).unwrap();
    let frames =
        Image::new([1, 3, 8, 8], [0.0, 0.5, 1.0].iter().flat_map(|&v| vec![v; 64]).collect()).unwrap();
    let options = ArrowOptions { enlargement: Some(4), step: Some(4), ..ArrowOptions::default() };
    let clip = draw_arrows(&flow, Some(&frames), &options).unwrap();
    assert_eq!((clip.frames, clip.height, clip.channels), (2, 32, 3));
    assert_eq!((clip.plane(0)[0], clip.plane(1)[0]), (0.0, 0.5 * 0.6));
    assert!(clip.plane(1)[8 * 32 + 8] > 0.6);
    let one = Image::new([1, 2, 8, 8], vec![0.0; 128]).unwrap();
    let three = Flow::new(3, 8, 8, vec![0.0; 384]).unwrap();
    assert!(draw_arrows(&three, Some(&one), &options).unwrap_err().to_string().contains("3 fields"));
    let zero = ArrowOptions { step: Some(0), ..options };
    assert!(draw_arrows(&flow, None, &zero).is_err());
    let wide = ArrowOptions { step: Some(usize::MAX), ..options };
    assert!(draw_arrows(&flow, None, &wide).is_ok());
    let huge = ArrowOptions { enlargement: Some(usize::MAX), ..ArrowOptions::default() };
    assert!(draw_arrows(&flow, None, &huge).is_err());
}
