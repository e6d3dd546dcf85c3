#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oneiro_fuzz::step::step(&oneiro_fuzz::graph::onnx(bytes)));
