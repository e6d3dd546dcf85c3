//! A step allocates nothing but a word to each other thread of its team: counted by an allocator of this test's own.
//!
//! One test in a file of its own, since the count is of the whole process.

#![allow(unsafe_code)] // an allocator
#![allow(clippy::unwrap_used)] // a test

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

mod network;

use network::network;
use oneiro_net::{CpuSession, Plan, Request, Rules, Session};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is done by the system's allocator; counting changes nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_step_allocates_nothing_for_its_kernels() {
    let graph = network();
    let shapes = vec![vec![2, 3, 64, 64]];
    let request = Request { at_once: Some(1), ..Request::of_shapes(shapes, graph.outputs.clone()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let mut session = CpuSession::new(Arc::new(Plan::compile(&graph, &request).unwrap())).unwrap();
    let mut step = || {
        session.input_mut(0).iter_mut().enumerate().for_each(|(i, x)| *x = (i % 17) as f32 / 8.0 - 1.0);
        session.forward();
        session.seed(0).1.fill(1.0);
        session.backward(&Rules::default());
        session.input_gradient(0).iter().map(|g| g.abs()).sum::<f32>()
    };
    let counted = pool.install(|| {
        // Scratch grows on each thread until it has met the largest of its tasks.
        (0..50).for_each(|_| _ = step());
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let size: f32 = (0..10).map(|_| step()).sum();
        assert!(size > 0.0, "the gradient is zero");
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    // One job for the other thread of the team, forward and back: `rayon`'s, and the same however large the network is.
    let per_step = counted / 10;
    assert!(per_step <= 2, "{per_step} allocations in a step");
}
