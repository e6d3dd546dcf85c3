//! Threads that stay awake for the length of a pass.
//!
//! A pass is hundreds of short parallel loops. A worker of `rayon` that finds nothing to do for some twenty
//! microseconds goes to sleep, and waking it takes longer than many a layer (45 µs against 2 µs, on the
//! virtual machine where this was measured). So a pass borrows the workers of the current pool for its whole
//! length ([`run`]): they wait for the loops ([`each`]) by looking, not by sleeping. Outside of a team the
//! same loops run on `rayon` as usual, within a task they run one after another.
//!
//! The worker that runs the pass does not depend on the others: what they do not take it does itself. Passes
//! that threads from outside the pool ask for are handed to a worker. A task must not wait for jobs of
//! `rayon`, only for loops ([`each`]): a worker that waits for a job may be given another team to serve,
//! whose pass may wait for this very task. Between loops a pass may, but the workers of its team do not help.
//! So a team whose workers are busy elsewhere is slow, never stuck.

use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rayon::prelude::*;

/// Bits of an index of a task.
const INDEX_BITS: u32 = 20;
/// Tasks of a loop at most; longer ones are run in groups.
const MOST_TASKS: usize = 1 << 18;
/// Members of a team at most; further workers look for what is left of others' shares.
const MOST_SHARES: usize = 64;
/// Looks for work before a waiting thread lets others of the machine run, about a tenth of a millisecond.
const LOOKS: usize = 4096;

thread_local! {
    /// The team that this thread leads, null while it is inside of a task.
    static LED: Cell<*const Team> = const { Cell::new(std::ptr::null()) };
    /// Whether this thread leads a team or serves one, also while it is inside of a task.
    static IN_TEAM: Cell<bool> = const { Cell::new(false) };
}

/// One task of a loop.
type Task<'a> = dyn Fn(usize) + Sync + 'a;

/// The share of a loop that one worker begins with: which loop it is, the end, and the next task, packed into
/// one word, so that to take a task is to take it of this very loop. Shares are a cache line apart.
#[repr(align(64))]
struct Share(AtomicU64);

impl Share {
    /// Takes a task, if one is left: the owner from the front, others from the back.
    fn take(&self, front: bool) -> Option<usize> {
        let mask = (1 << INDEX_BITS) - 1;
        let mut share = self.0.load(Ordering::Acquire);
        loop {
            let (end, next) = (share >> INDEX_BITS & mask, share & mask);
            if next >= end {
                return None;
            }
            let (taken, left) = if front { (next, share + 1) } else { (end - 1, share - (1 << INDEX_BITS)) };
            match self.0.compare_exchange_weak(share, left, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(taken as usize),
                Err(changed) => share = changed,
            }
        }
    }
}

struct Team {
    /// One for each of the `members` worker threads. Every loop over the same positions gives a worker
    /// the same part of them, so that the previous layer's values lie in its own cache.
    shares: [Share; MOST_SHARES],
    members: usize,
    /// What to call; set before the shares name the loop, left alone until all of its tasks are done.
    task: UnsafeCell<Option<*const Task<'static>>>,
    done: AtomicUsize,
    panicked: AtomicBool,
    over: AtomicBool,
}

// SAFETY: `task` is written by the leader only while no task of the loop before is under way, and read by
// workers that have taken a task of the loop that it was written for.
unsafe impl Sync for Team {}

impl Team {
    fn new(members: usize) -> Team {
        Team {
            shares: [const { Share(AtomicU64::new(0)) }; MOST_SHARES],
            members: members.min(MOST_SHARES),
            task: UnsafeCell::new(None),
            done: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }
    }

    /// Takes a task from the worker's own share, or from another worker's.
    fn take(&self, member: usize) -> Option<usize> {
        let count = self.members;
        (0..count).find_map(|i| self.shares[(member + i) % count].take(i == 0))
    }

    /// Runs tasks until none is left; returns whether it ran any.
    fn work(&self, member: usize) -> bool {
        let mut any = false;
        while let Some(index) = self.take(member) {
            any = true;
            // SAFETY: a task of this loop has been taken, so the loop is not over: `task` was set for
            // this loop, and its borrows are alive.
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

    /// The loop of a borrowed worker until the pass ends; it returns at once if the worker already belongs to
    /// a team.
    fn serve(&self, member: usize) {
        let Some(_joined) = Joined::enter() else { return };
        let mut looks = 0;
        while !self.over.load(Ordering::Acquire) {
            looks = if self.work(member) { 0 } else { looks + 1 };
            rest(looks);
        }
    }

    /// A loop, led by this thread.
    fn each(&self, count: usize, task: &Task<'_>) {
        // SAFETY: only workers that have taken a task of this loop use the address, and this function
        // returns when all tasks are done.
        let task: *const Task<'static> = unsafe { std::mem::transmute::<*const Task<'_>, _>(task) };
        // SAFETY: the loop before is over, so nobody reads it.
        unsafe { *self.task.get() = Some(task) };
        self.done.store(0, Ordering::Relaxed);
        let members = self.members;
        for (i, share) in self.shares[..members].iter().enumerate() {
            let loops = share.0.load(Ordering::Relaxed) >> (2 * INDEX_BITS);
            let (next, end) = (count * i / members, count * (i + 1) / members);
            let state = loops.wrapping_add(1) << (2 * INDEX_BITS) | (end as u64) << INDEX_BITS | next as u64;
            share.0.store(state, Ordering::Release);
        }
        let led = LED.replace(std::ptr::null());
        self.work(0);
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

/// That this thread belongs to a team, until this is dropped.
struct Joined;

impl Joined {
    fn enter() -> Option<Joined> {
        // Not `then_some`, which would make a `Joined` that is dropped at once.
        if IN_TEAM.replace(true) { None } else { Some(Joined) }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        IN_TEAM.set(false);
    }
}

/// Ends a team, also where the pass panics.
struct Over<'a>(&'a Team);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        LED.set(std::ptr::null());
        self.0.over.store(true, Ordering::Release);
    }
}

/// Runs a pass, on a worker of the current pool, whose loops are shared among all of them. A worker that
/// belongs to a team already runs it as a part of what it is doing.
pub fn run<R: Send>(pass: impl FnOnce() -> R + Send) -> R {
    let helpers = rayon::current_num_threads() - 1;
    if helpers == 0 || IN_TEAM.get() {
        return pass();
    }
    // The outer scope is there for its worker, which belongs to the team until the inner one has seen all
    // others leave it.
    rayon::scope(|_| {
        // This may be another thread than the one asked above: a worker that serves a team and waits.
        let Some(_joined) = Joined::enter() else { return pass() };
        let team = Team::new(helpers + 1);
        rayon::in_place_scope(|scope| {
            let team = &team;
            let leader = rayon::current_thread_index().unwrap_or(0);
            for _ in 1..=helpers {
                // A worker has the same share in every pass that this one leads: what it wrote forward it
                // reads on the way back.
                let members = helpers + 1;
                let own = move || rayon::current_thread_index().unwrap_or(0) + members - leader;
                scope.spawn(move |_| team.serve(own() % members));
            }
            LED.set(team);
            let _over = Over(team);
            pass()
        })
    })
}

/// How many threads a loop of this thread would be shared by: those of the pool; within a task of a team,
/// whose workers all have tasks of their own, one. It may decide how work is cut, never a bit.
pub fn threads() -> usize {
    if LED.get().is_null() && IN_TEAM.get() { 1 } else { rayon::current_num_threads() }
}

/// `task(i)` for every i below `count`, in parallel; `at_least` of them at a time. Within a task of a team,
/// whose workers all have tasks of their own, one after another.
pub fn each(count: usize, at_least: usize, task: impl Fn(usize) + Sync) {
    let at_least = at_least.max(count.div_ceil(MOST_TASKS)).max(1);
    let groups = count.div_ceil(at_least);
    let group = |i: usize| (i * at_least..count.min((i + 1) * at_least)).for_each(&task);
    let led = LED.get();
    if groups <= 1 || threads() == 1 {
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
                            assert!(
                                hits.iter().all(|&h| h == 1),
                                "{threads} threads, {count} tasks: {hits:?}"
                            );
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
            run(|| run(|| each(10, 1, |_| each(10, 1, |_| _ = total.fetch_add(1, Ordering::Relaxed)))));
        });
        assert_eq!(total.into_inner(), 100);
    }

    #[test]
    fn teams_side_by_side_finish() {
        let total = AtomicUsize::new(0);
        in_pool(3, || {
            (0..20).into_par_iter().for_each(|_| {
                run(|| (0..50).for_each(|_| each(9, 1, |_| _ = total.fetch_add(1, Ordering::Relaxed))));
            });
        });
        assert_eq!(total.into_inner(), 20 * 50 * 9);
    }

    #[test]
    fn passes_of_more_threads_outside_the_pool_than_it_has_workers_finish() {
        let total = AtomicUsize::new(0);
        let loops = |_| each(20, 1, |_| _ = total.fetch_add(1, Ordering::Relaxed));
        let leaders = 2 * rayon::current_num_threads();
        std::thread::scope(|scope| {
            for _ in 0..leaders {
                scope.spawn(|| (0..50).for_each(|_| run(|| each(9, 1, loops))));
            }
        });
        assert_eq!(total.into_inner(), leaders * 50 * 9 * 20);
    }

    #[test]
    fn who_belongs_to_a_team_does_until_it_leaves() {
        in_pool(2, || {
            let joined = Joined::enter();
            assert!(joined.is_some() && Joined::enter().is_none() && IN_TEAM.get());
            drop(joined);
            assert!(!IN_TEAM.get());
        });
        // Also where another thread asks for the pass.
        run(|| assert!(rayon::current_num_threads() == 1 || IN_TEAM.get() && !LED.get().is_null()));
        assert!(!IN_TEAM.get() && LED.get().is_null());
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_leader() {
        let result = in_pool(2, || catch_unwind(|| run(|| each(100, 1, |i| assert!(i != 57)))));
        assert!(result.is_err());
    }
}
