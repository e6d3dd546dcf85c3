use super::*;

/// Two flow fields of 3×4 pixels, all of whose values differ.
fn flow() -> Flow {
    Flow::new(2, 4, 3, (0..48).map(|i| i as f32 * 0.25 - 5.0).collect()).unwrap()
}

fn write(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn files_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let (flow, path) = (flow(), folder.path().join("a.npy"));
    write_flow(&path, &flow).unwrap();
    assert_eq!(read_flow(&path).unwrap(), flow);
    let (field, path) = (flow.field(1), folder.path().join("a.flo"));
    write_flow(&path, &field).unwrap();
    assert_eq!(read_flow(&path).unwrap(), field);
    let message = write_flow(&path, &flow).unwrap_err().to_string();
    assert!(message.contains("one field") && message.contains(".npy"), "{message}");
    assert!(write_flow(folder.path().join("a.png"), &flow).unwrap_err().to_string().contains(".flo"));
}

#[test]
fn a_flo_file_has_the_layout_of_middlebury() {
    let bytes = [
        &202021.25f32.to_le_bytes()[..],
        &2i32.to_le_bytes(),
        &1i32.to_le_bytes(),
        &[1.0f32, 2.0, 1e10, 4.0].map(f32::to_le_bytes).concat(),
    ]
    .concat();
    let flow = decode_flo(&bytes).unwrap();
    assert_eq!((flow.width, flow.height, flow.at(0, 0, 0)), (2, 1, [1.0, 2.0]));
    assert!(flow.u(0)[1].is_nan());
    assert_eq!(encode_flo(&flow).unwrap(), bytes);
    for cut in 0..bytes.len() {
        assert!(decode_flo(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn shapes_are_recognised_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let read = |shape: &[usize]| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
        read_flow(write(&folder, "a.npy", &crate::npy::encode(shape, &values)))
    };
    // Array shape; fields, height and width; and the vector at column 1, row 0 of the last field.
    let cases: [(&[usize], [usize; 3], [f32; 2]); 6] = [
        (&[2, 2, 3, 4], [2, 3, 4], [25.0, 37.0]),
        (&[2, 3, 4, 2], [2, 3, 4], [26.0, 27.0]),
        (&[2, 3, 4], [1, 3, 4], [1.0, 13.0]),
        (&[6, 3, 4], [3, 3, 4], [49.0, 61.0]),
        (&[3, 4, 2], [1, 3, 4], [2.0, 3.0]),
        (&[4, 4, 2], [1, 4, 4], [2.0, 3.0]),
    ];
    for (shape, expected, vector) in cases {
        let flow = read(shape).unwrap();
        assert_eq!([flow.frames, flow.height, flow.width], expected, "{shape:?}");
        assert_eq!(flow.at(flow.frames - 1, 1, 0), vector, "{shape:?}");
    }
    for shape in
        [&[2, 5, 2][..], &[5, 2, 4, 2], &[3, 4, 5], &[4, 4], &[3, 3, 4, 5], &[0, 2, 4, 4], &[2, 0, 4]]
    {
        let message = read(shape).unwrap_err().to_string();
        assert!(message.contains("[2T, H, W]") || message.contains("at least one pixel"), "{message}");
    }
}

#[test]
fn sides_whose_product_overflows_are_refused() {
    let side = usize::MAX / 2;
    for shape in [vec![0, side, side, 2], vec![0, 2, side, side], vec![side, side, 0]] {
        let array = crate::npy::Array { shape, values: Vec::new(), kind: "<f4".into() };
        assert!(arrays::flow_of(array).is_err());
    }
}

/// Builds a ZIP archive of files, deflated or stored.
fn archive(files: &[(&str, &[u8])], deflated: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let packed =
            if deflated { miniz_oxide::deflate::compress_to_vec(content, 6) } else { content.to_vec() };
        let mut head = vec![20, 0, 0, 0, if deflated { 8 } else { 0 }, 0, 0, 0, 0, 0];
        head.extend(crc32fast::hash(content).to_le_bytes());
        head.extend((packed.len() as u32).to_le_bytes());
        head.extend((content.len() as u32).to_le_bytes());
        head.extend([name.len() as u8, 0, 0, 0]);
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &head, &[0; 10]].concat());
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        bytes.extend([b"PK\x03\x04", &head[..], name.as_bytes(), &packed].concat());
    }
    let start = bytes.len() as u32;
    let count = files.len() as u8;
    bytes.extend(&directory);
    bytes.extend([b'P', b'K', 5, 6, 0, 0, 0, 0, count, 0, count, 0]);
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

#[test]
fn archives_give_the_array_of_the_name_or_the_only_one() {
    let folder = tempfile::tempdir().unwrap();
    let flow = flow();
    let (array, other) = (encode_npy(&flow), crate::npy::encode(&[1], &[0.0]));
    for deflated in [false, true] {
        let one = archive(&[("arr_0.npy", &array)], deflated);
        assert_eq!(read_flow(write(&folder, "a.npz", &one)).unwrap(), flow);
        let two = archive(&[("rgb.npy", &other), ("flow.npy", &array)], deflated);
        assert_eq!(read_flow(write(&folder, "a.npz", &two)).unwrap(), flow);
        for cut in 0..two.len() {
            assert!(read_flow(write(&folder, "cut.npz", &two[..cut])).is_err(), "cut at {cut}");
        }
        let mut flipped = one.clone();
        flipped[150] ^= 1;
        assert!(read_flow(write(&folder, "a.npz", &flipped)).is_err());
    }
    let neither = archive(&[("rgb.npy", &other), ("b.npy", &array)], true);
    let message = read_flow(write(&folder, "a.npz", &neither)).unwrap_err().to_string();
    assert!(message.contains("it holds rgb, b"), "{message}");
}

#[test]
fn flow_is_told_from_videos_by_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let is_flow = |name: &str, bytes: &[u8]| super::is_flow(write(&folder, name, bytes)).unwrap();
    assert!(is_flow("a.bin", &encode_flo(&flow().field(0)).unwrap()));
    assert!(is_flow("b.mp4", &encode_npy(&flow())));
    assert!(is_flow("c", &archive(&[("flow.npy", &encode_npy(&flow()))], true)));
    assert!(!is_flow("d.npy", b"GIF89a"));
    assert!(!super::is_flow(folder.path()).unwrap());
    write_flow_pairs(folder.path(), &flow(), FLOW_BOUND).unwrap();
    assert!(super::is_flow(folder.path()).unwrap());
    let error = super::is_flow(folder.path().join("gone")).unwrap_err();
    assert!(matches!(error, MediaError::NotFound { .. }), "{error}");
}

#[test]
fn an_array_can_be_written_in_parts() {
    let flow = flow();
    let mut parts = npy_header(flow.frames, flow.height, flow.width);
    parts.extend(flow.data.iter().flat_map(|value| value.to_le_bytes()));
    assert_eq!(parts, encode_npy(&flow));
}

#[test]
fn what_is_no_flow_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message = read_flow(write(&folder, "a.txt", b"hello")).unwrap_err().to_string();
    assert!(message.contains(".flo, .npy or .npz"), "{message}");
    let message = read_flow(folder.path()).unwrap_err().to_string();
    assert!(message.contains("flow_x_00001.jpg"), "{message}");
    assert!(matches!(read_flow(folder.path().join("none.flo")), Err(MediaError::NotFound { .. })));
}

#[cfg(feature = "jpeg")]
#[test]
fn pairs_of_pictures_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let data =
        (0..11 * 2 * 16 * 24).map(|i| (i / (16 * 24)) as f32 - 10.0 + 0.01 * (i % 24) as f32).collect();
    let flow = Flow::new(11, 16, 24, data).unwrap();
    write_flow_pairs(folder.path(), &flow, FLOW_BOUND).unwrap();
    let check = |read: &Flow| {
        assert_eq!((read.frames, read.height, read.width), (11, 16, 24));
        let worst = read.data.iter().zip(&flow.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // The error is at most one gray value from rounding and one from JPEG compression.
        assert!(worst <= 2.0 * 2.0 * FLOW_BOUND / 255.0, "{worst}");
    };
    check(&read_flow(folder.path()).unwrap());
    let split = tempfile::tempdir().unwrap();
    for (name, prefix) in [("u", "flow_x_"), ("v", "flow_y_")] {
        std::fs::create_dir(split.path().join(name)).unwrap();
        for i in 1..=11 {
            // Numbers without leading zeros must still be ordered as numbers.
            let from = folder.path().join(format!("{prefix}{i:05}.jpg"));
            std::fs::copy(from, split.path().join(name).join(format!("frame{i}.jpg"))).unwrap();
        }
    }
    check(&read_flow(split.path()).unwrap());
    std::fs::remove_file(folder.path().join("flow_y_00003.jpg")).unwrap();
    let message = read_flow(folder.path()).unwrap_err().to_string();
    assert!(message.contains("flow_x_00003.jpg"), "{message}");
    assert!(read_flow_pairs(folder.path(), 0.0).unwrap_err().to_string().contains("above 0"));
}
