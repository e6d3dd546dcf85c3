use oneiro_net::kernels::*;
use oneiro_net::kernels::blocked::*;
use std::time::Instant;
fn main() {
    let threads: usize = std::env::args().nth(1).map_or(1, |t| t.parse().unwrap());
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    // peak
    let isa = Isa::detect();
    for (c, o, hw, k, s) in [(64,64,224,3,1),(128,128,112,3,1),(256,256,56,3,1),(512,512,28,3,1),(512,512,14,3,1),
        (256,64,56,1,1),(64,256,56,1,1),(512,128,28,1,1),(1024,256,14,1,1),(256,1024,14,1,1),(2048,512,7,1,1),(512,2048,7,1,1),(256,512,56,1,2),(128,128,56,3,2),(512,512,7,3,1),(192,192,17,7,1)] {
        let pad = k/2;
        let out = (hw + 2*pad - k)/s + 1;
        let g = ConvGeometry { batch:1, groups:1, c_in:c, c_out:o, src:[1,hw,hw], dst:[1,out,out], kernel:[1,k,if k==7 {1} else {k}], stride:[1,s,s], dilation:[1,1,1], pad_before:[0,pad,if k==7 {0} else {pad}] };
        let w: Vec<f32> = (0..o*c*g.taps()).map(|i| ((i*7919)%1000) as f32/1000.0-0.5).collect();
        let corr = Correlation::forward_of(&g);
        let dense = Dense::new(corr.clone(), isa, |gr,out,i,t| w[g.weight_index(gr,out,i,t)], None);
        let src = vec![0.5f32; blocks_of(c)*hw*hw*16];
        let mut dst = vec![0.0f32; blocks_of(o)*g.dst[1]*g.dst[2]*16];
        let flops = 2.0*(o*c*g.taps()*out*out) as f64;
        let mut best = f64::MAX;
        let end = Instant::now();
        while end.elapsed().as_secs_f64() < 0.4 { let t = Instant::now(); dense.run(&src,&mut dst,false,&mut Ending::default()); best = best.min(t.elapsed().as_secs_f64()); }
        let mut wg = String::new();
        if Winograd::takes(&corr) { for o2 in [Outputs::Two, Outputs::Four] {
            let win = Winograd::new(corr.clone(), isa, o2, |out,i,t| w[g.weight_index(0,out,i,t)], None);
            let mut d2 = dst.clone();
            win.run(&src,&mut d2,false,&mut Ending::default());
            let err = d2.iter().zip(&dst).map(|(a,b)| ((a-b) as f64).powi(2)).sum::<f64>().sqrt() / dst.iter().map(|b| (*b as f64).powi(2)).sum::<f64>().sqrt();
            let mut best = f64::MAX;
            let end = Instant::now();
            while end.elapsed().as_secs_f64() < 0.4 { let t = Instant::now(); win.run(&src,&mut d2,false,&mut Ending::default()); best = best.min(t.elapsed().as_secs_f64()); }
            wg += &format!("  {o2:?} {:.3} ms {:.0} GFLOP/s err {err:.1e}", best*1e3, flops/best/1e9);
        }}
        println!("{c}->{o} {hw} k{k} s{s}: {:.3} ms {:.0} GFLOP/s{wg}", best*1e3, flops/best/1e9);
    }
}
