//! Teams: threads that stay awake during a pass.
//!
//! A pass consists of hundreds of short parallel loops. A `rayon` worker that finds no work for some twenty
//! microseconds goes to sleep. Waking it takes longer than many layers do (45 µs against 2 µs, measured on a
//! virtual machine). So a pass borrows the workers of the current pool for its whole length ([`run`]). They
//! wait for the pass's loops ([`each`]) by polling, not by sleeping. Outside a team, `each` runs its loop on
//! `rayon`; within a task, it runs the loop sequentially.
//!
//! The worker that runs the pass does not depend on the others: it computes the tasks that they do not take.
//! A thread outside the pool hands its pass to a worker of the pool. A task must not wait for a job of
//! `rayon`, only for loops of [`each`]. A worker that waits for a job may be given another team to serve,
//! whose pass may wait for this very task. Between loops a pass may wait for jobs, but the workers of its
//! team do not help. So a team whose workers are busy elsewhere is slow, but never deadlocks.

use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rayon::prelude::*;

/// Number of bits for the index of a task.
const INDEX_BITS: u32 = 20;
/// Most tasks of a loop. Longer loops are run in groups of iterations.
const MOST_TASKS: usize = 1 << 18;
/// Most members of a team that own a share of each loop. Further workers take tasks from the shares of
/// others.
const MOST_SHARES: usize = 64;
/// Number of polls after which a waiting thread yields its core to other threads, about a tenth of a
/// millisecond.
const LOOKS: usize = 4096;

thread_local! {
    /// The team that this thread leads; null while the thread runs a task.
    static LED: Cell<*const Team> = const { Cell::new(std::ptr::null()) };
    /// Whether this thread leads or serves a team, also while it runs a task.
    static IN_TEAM: Cell<bool> = const { Cell::new(false) };
}

/// The body of a parallel loop, called with the index of each iteration.
type Task<'a> = dyn Fn(usize) + Sync + 'a;

/// The share of a loop that one worker starts with. The loop's number, the end and the next task are packed
/// into one word. So a worker that takes a task atomically checks that the task still belongs to this loop.
/// Shares are a cache line apart.
#[repr(align(64))]
struct Share(AtomicU64);

impl Share {
    /// Takes a task if one is left. The owner takes it from the front, other workers from the back.
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
    /// One share for each of the `members` workers. Every loop over the same positions gives a worker the
    /// same part of them, so that the previous layer's values are in its cache.
    shares: [Share; MOST_SHARES],
    members: usize,
    /// The current loop's body. It is set before the shares name the loop, and not changed until all tasks
    /// are done.
    task: UnsafeCell<Option<*const Task<'static>>>,
    done: AtomicUsize,
    panicked: AtomicBool,
    over: AtomicBool,
}

// SAFETY: the leader writes `task` only while no task of the previous loop is running. Workers read it only
// after taking a task of the loop for which it was written.
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

    /// Runs tasks until none is left. Returns whether it ran any.
    fn work(&self, member: usize) -> bool {
        let mut any = false;
        while let Some(index) = self.take(member) {
            any = true;
            // SAFETY: a task of this loop has been taken, so the loop is not over. `task` was set for this
            // loop, and its borrows are alive.
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

    /// Serves the pass with a borrowed worker until the pass ends. Returns at once if the worker already
    /// belongs to a team.
    fn serve(&self, member: usize) {
        let Some(_joined) = Joined::enter() else { return };
        let mut looks = 0;
        while !self.over.load(Ordering::Acquire) {
            looks = if self.work(member) { 0 } else { looks + 1 };
            rest(looks);
        }
    }

    /// Runs a loop that this thread leads.
    fn each(&self, count: usize, task: &Task<'_>) {
        // SAFETY: only workers that have taken a task of this loop use the address. This function returns
        // when all tasks are done.
        let task: *const Task<'static> = unsafe { std::mem::transmute::<*const Task<'_>, _>(task) };
        // SAFETY: the previous loop is over, so no thread reads `task`.
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

/// Waits a moment. After many polls, yields the core to other threads.
fn rest(looks: usize) {
    if looks < LOOKS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// Marks this thread as a member of a team until it is dropped.
struct Joined;

impl Joined {
    fn enter() -> Option<Joined> {
        // `then_some` would construct a `Joined` in both cases, and drop it at once in one.
        if IN_TEAM.replace(true) { None } else { Some(Joined) }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        IN_TEAM.set(false);
    }
}

/// Ends a team when dropped, also if the pass panics.
struct Over<'a>(&'a Team);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        LED.set(std::ptr::null());
        self.0.over.store(true, Ordering::Release);
    }
}

/// Runs a pass on a worker of the current pool, with all workers sharing the pass's loops. A worker that
/// already belongs to a team runs the pass as a part of its current work.
pub fn run<R: Send>(pass: impl FnOnce() -> R + Send) -> R {
    let helpers = rayon::current_num_threads() - 1;
    if helpers == 0 || IN_TEAM.get() {
        return pass();
    }
    // The outer scope keeps its worker in the team until the inner scope has seen all others leave.
    rayon::scope(|_| {
        // Rayon may run this on a worker that already serves a team, although the caller was in none.
        let Some(_joined) = Joined::enter() else { return pass() };
        let team = Team::new(helpers + 1);
        rayon::in_place_scope(|scope| {
            let team = &team;
            let leader = rayon::current_thread_index().unwrap_or(0);
            for _ in 1..=helpers {
                // A worker has the same share in every pass that this worker leads. So the backward pass
                // reads what the same worker wrote in the forward pass.
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

/// Number of threads that would share a loop of this thread. It is 1 within a task of a team, because the
/// other workers have tasks of their own. It may decide how work is divided, never a bit of a result.
pub fn threads() -> usize {
    if LED.get().is_null() && IN_TEAM.get() { 1 } else { rayon::current_num_threads() }
}

/// Runs `task(i)` for every i below `count` in parallel; each unit of work has at least `at_least`
/// iterations. Within a task of a team, iterations run one after another, because the other workers have
/// tasks of their own.
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

/// Runs `task(i, chunk)` for the chunks of a slice in parallel. The last chunk may be shorter.
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
        // A thread outside the pool may ask for a pass, too.
        run(|| assert!(rayon::current_num_threads() == 1 || IN_TEAM.get() && !LED.get().is_null()));
        assert!(!IN_TEAM.get() && LED.get().is_null());
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_leader() {
        let result = in_pool(2, || catch_unwind(|| run(|| each(100, 1, |i| assert!(i != 57)))));
        assert!(result.is_err());
    }
}
