//! A step allocates no memory except one job for each other thread. The test counts allocations with its own
//! allocator.
//!
//! This file holds only one test, because the count is that of the whole process.

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

// SAFETY: the system's allocator does all the work; counting does not affect it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller upholds the same contract as for the system's allocator.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the same contract as for the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_step_allocates_nothing_for_its_kernels() {
    let graph = network();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    // Micro-batches: the whole batch, one entry after another, and two replicas in parallel.
    for (batch, micro_batch_size, replicas) in [(2, 2, 1), (3, 1, 1), (2, 1, 2)] {
        let shapes = vec![vec![batch, 3, 64, 64]];
        let request = Request {
            micro_batch_size: Some(micro_batch_size),
            ..Request::of_shapes(shapes, graph.outputs.clone())
        };
        let plan = pool.install(|| Plan::compile(&graph, &request).unwrap());
        assert_eq!((plan.micro_batches(), plan.replicas()), (batch / micro_batch_size, replicas));
        let per_step = counted(&pool, plan);
        // `rayon` allocates one job for the other thread, forward and back, however large the network is.
        assert!(per_step <= 2, "{per_step} allocations in a step, {replicas} side by side");
    }
}

/// Returns the number of allocations in a step of a plan.
fn counted(pool: &rayon::ThreadPool, plan: Plan) -> usize {
    let mut session = CpuSession::new(Arc::new(plan)).unwrap();
    let mut step = || {
        session.input_mut(0).iter_mut().enumerate().for_each(|(i, x)| *x = (i % 17) as f32 / 8.0 - 1.0);
        session.forward();
        session.seed(0).1.fill(1.0);
        session.backward(&Rules::default());
        session.input_gradient(0).iter().map(|g| g.abs()).sum::<f32>()
    };
    pool.install(|| {
        // Each thread's scratch memory grows until the thread has had the largest of its tasks.
        (0..50).for_each(|_| _ = step());
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let size: f32 = (0..10).map(|_| step()).sum();
        assert!(size > 0.0, "the gradient is zero");
        (ALLOCATIONS.load(Ordering::Relaxed) - before) / 10
    })
}
