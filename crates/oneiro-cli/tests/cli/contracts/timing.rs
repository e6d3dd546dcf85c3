//! `oneiro bench`: the JSON of its measurements.

use crate::contracts::{keys, place, set};

#[test]
fn bench_reports_seconds_speed_memory_and_threads() {
    let place = place();
    let object = place.json(&[
        "bench",
        "net.onnx",
        "--json",
        "--threads",
        "2",
        "--capture",
        "left.conv",
        "--batch",
        "2",
    ]);
    let wanted = set(&["seconds", "gflops", "peak_bytes", "threads"]);
    assert!(wanted.is_subset(&keys(&object)), "{object:#}");
    assert_eq!(object["threads"], 2);
    assert!(
        object["seconds"].as_f64().unwrap() > 0.0 && object["gflops"].as_f64().unwrap() > 0.0,
        "{object:#}"
    );
    if cfg!(target_os = "linux") {
        assert!(object["peak_bytes"].as_u64().unwrap() > 1 << 20, "{object:#}");
    }
}

#[test]
fn bench_times_networks_of_few_classes_too() {
    // By default the gradient is that of channel 5, but this network's output has fewer than six channels.
    let outcome = place().run(&["bench", "net.onnx", "--quiet"]);
    assert!(
        outcome.code == Some(0) && outcome.stderr.is_empty() && outcome.stdout.contains("ms"),
        "{outcome:?}"
    );
}
