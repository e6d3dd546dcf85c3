use oneiro::param::*;
use oneiro::rng::Stream;
fn main() {
    let p = Fourier::new([3, 224, 224], FourierOptions::default());
    let mut w = p.work();
    let x = p.init(&mut Stream::new(0, 0));
    let mut o = vec![0.0; 3 * 224 * 224];
    let mut g = vec![0.0; p.len()];
    for _ in 0..3 {
        let t = std::time::Instant::now();
        for _ in 0..50 {
            p.image(&x, &mut w, &mut o);
            p.adjoint(&x, &mut w, &o, &mut g);
        }
        println!("fourier {:.3} ms", t.elapsed().as_secs_f64() * 20.0);
    }
}
