//! Threads that stay awake for the length of a pass.
//!
//! A pass is hundreds of short parallel loops. A worker of `rayon` that finds nothing to do for some twenty microseconds
//! goes to sleep, and waking it takes longer than many a layer (45 µs against 2 µs, on the virtual machine where this was
//! measured). So a pass borrows the workers of the current pool for its whole length ([`run`]): they wait for the loops
//! ([`each`]) by looking, not by sleeping. Outside of a team the same loops run on `rayon` as usual.
//!
//! The thread that runs the pass does not depend on the others: what they do not take it does itself. So a team whose
//! workers are busy elsewhere is slow, never stuck.

use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rayon::prelude::*;

/// Bits of the number of tasks, and of the next one.
const COUNT_BITS: u32 = 20;
/// Tasks of a loop at most; longer ones are run in groups.
const MOST_TASKS: usize = 1 << 18;
/// Looks for work before a waiting thread lets others of the machine run, about a tenth of a millisecond.
const LOOKS: usize = 4096;

thread_local! {
    /// The team that this thread leads, null while it is inside of a task.
    static LED: Cell<*const Team> = const { Cell::new(std::ptr::null()) };
}

/// One task of a loop.
type Task<'a> = dyn Fn(usize) + Sync + 'a;

struct Team {
    /// Which loop it is, its tasks, and the next one to take, packed into one word, so that to take a task is to take it
    /// of this very loop.
    state: AtomicU64,
    /// What to call; set before `state` names the loop, left alone until all of its tasks are done.
    task: UnsafeCell<Option<*const Task<'static>>>,
    done: AtomicUsize,
    panicked: AtomicBool,
    over: AtomicBool,
}

// SAFETY: `task` is written by the leader only while no task of the loop before is under way, and read by whoever has
// taken a task of the loop that it was written for.
unsafe impl Sync for Team {}

impl Team {
    /// Takes a task of the present loop, if one is left.
    fn take(&self) -> Option<usize> {
        let mask = (1 << COUNT_BITS) - 1;
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            let (count, next) = (state >> COUNT_BITS & mask, state & mask);
            if next >= count {
                return None;
            }
            match self.state.compare_exchange_weak(state, state + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(next as usize),
                Err(changed) => state = changed,
            }
        }
    }

    /// Does tasks while there are any; says whether there were.
    fn work(&self) -> bool {
        let mut any = false;
        while let Some(index) = self.take() {
            any = true;
            // SAFETY: a task of this loop has been taken, so the loop is not over: `task` is the one that was set for it,
            // and what it borrows is alive.
            let task = unsafe { (*self.task.get()).map(|task| &*task) };
            let result = catch_unwind(AssertUnwindSafe(|| {
                if let Some(task) = task {
                    task(index);
                }
            }));
            if result.is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.done.fetch_add(1, Ordering::Release);
        }
        any
    }

    /// What a borrowed worker does until the pass is over.
    fn serve(&self) {
        let mut looks = 0;
        while !self.over.load(Ordering::Acquire) {
            looks = if self.work() { 0 } else { looks + 1 };
            rest(looks);
        }
    }

    /// A loop, led by this thread.
    fn each(&self, count: usize, task: &Task<'_>) {
        // SAFETY: the address is used by those only who have taken a task of this loop, and this function returns when
        // all tasks are done.
        let task: *const Task<'static> = unsafe { std::mem::transmute::<*const Task<'_>, _>(task) };
        // SAFETY: the loop before is over, so nobody reads it.
        unsafe { *self.task.get() = Some(task) };
        self.done.store(0, Ordering::Relaxed);
        let loops = self.state.load(Ordering::Relaxed) >> (2 * COUNT_BITS);
        let state = (loops + 1) << (2 * COUNT_BITS) | (count as u64) << COUNT_BITS;
        self.state.store(state, Ordering::Release);
        let led = LED.replace(std::ptr::null());
        self.work();
        LED.set(led);
        let mut looks = 0;
        while self.done.load(Ordering::Acquire) < count {
            looks += 1;
            rest(looks);
        }
        assert!(!self.panicked.load(Ordering::Relaxed), "a task of a parallel loop panicked");
    }
}

/// Waits a moment; after many, lets others run.
fn rest(looks: usize) {
    if looks < LOOKS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// Ends a team, also where the pass panics.
struct Over<'a>(&'a Team, *const Team);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        LED.set(self.1);
        self.0.over.store(true, Ordering::Release);
    }
}

/// Runs a pass whose loops are shared among the workers of the current pool.
pub fn run<R>(pass: impl FnOnce() -> R) -> R {
    let helpers = rayon::current_num_threads() - 1;
    if helpers == 0 || !LED.get().is_null() {
        return pass();
    }
    let team = Team {
        state: AtomicU64::new(0),
        task: UnsafeCell::new(None),
        done: AtomicUsize::new(0),
        panicked: AtomicBool::new(false),
        over: AtomicBool::new(false),
    };
    rayon::in_place_scope(|scope| {
        let team = &team;
        for _ in 0..helpers {
            scope.spawn(move |_| team.serve());
        }
        let _over = Over(team, LED.replace(team));
        pass()
    })
}

/// `task(i)` for every i below `count`, in parallel; `at_least` of them at a time.
pub fn each(count: usize, at_least: usize, task: impl Fn(usize) + Sync) {
    let at_least = at_least.max(count.div_ceil(MOST_TASKS)).max(1);
    let groups = count.div_ceil(at_least);
    let group = |i: usize| (i * at_least..count.min((i + 1) * at_least)).for_each(&task);
    let led = LED.get();
    if groups <= 1 || rayon::current_num_threads() == 1 {
        (0..groups).for_each(group);
    } else if led.is_null() {
        (0..groups).into_par_iter().with_max_len(1).for_each(group);
    } else {
        // SAFETY: `run` keeps the team alive while this thread leads it.
        unsafe { &*led }.each(groups, &group);
    }
}

/// `task(i, chunk)` for the chunks of a slice, in parallel; the last may be shorter.
pub fn chunks<T: Send>(slice: &mut [T], len: usize, task: impl Fn(usize, &mut [T]) + Sync) {
    let (count, all) = (slice.len().div_ceil(len.max(1)), slice.len());
    let slice = super::scratch::Disjoint::new(slice);
    each(count, 1, |i| {
        // SAFETY: chunks are disjoint, and each belongs to one task.
        task(i, unsafe { slice.part(i * len, len.min(all - i * len)) });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::in_pool;

    #[test]
    fn every_task_of_every_loop_runs_once() {
        for threads in [1, 2, 3, 5] {
            in_pool(threads, || {
                run(|| {
                    for count in [0, 1, 2, 7, 100, 1000] {
                        for at_least in [1, 3] {
                            let mut hits = vec![0u32; count];
                            let all = super::super::scratch::Disjoint::new(&mut hits);
                            // SAFETY: each element belongs to one task.
                            each(count, at_least, |i| unsafe { all.part(i, 1)[0] += 1 });
                            assert!(hits.iter().all(|&h| h == 1), "{threads} threads, {count} tasks: {hits:?}");
                        }
                    }
                });
            });
        }
    }

    #[test]
    fn loops_within_tasks_and_teams_within_teams_work() {
        let total = AtomicUsize::new(0);
        in_pool(3, || {
            run(|| run(|| each(10, 1, |_| each(10, 1, |_| drop(total.fetch_add(1, Ordering::Relaxed))))));
        });
        assert_eq!(total.into_inner(), 100);
    }

    #[test]
    fn teams_side_by_side_finish() {
        let total = AtomicUsize::new(0);
        in_pool(3, || {
            (0..20).into_par_iter().for_each(|_| {
                run(|| (0..50).for_each(|_| each(9, 1, |_| drop(total.fetch_add(1, Ordering::Relaxed)))));
            });
        });
        assert_eq!(total.into_inner(), 20 * 50 * 9);
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_leader() {
        let result = in_pool(2, || catch_unwind(|| run(|| each(100, 1, |i| assert!(i != 57)))));
        assert!(result.is_err());
    }
}
