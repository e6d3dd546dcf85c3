//! Loops that are divided among threads: among the workers that a step keeps awake, or else by `rayon`.
//!
//! A step consists of many short loops. Waking a `rayon` worker that has gone to sleep takes longer than many
//! of these loops (see [`oneiro_net::team`]). The assignment of work to threads changes no bit of the result.

use oneiro_net::team;

pub(crate) use team::run as with_awake_workers;

/// Approximate number of elements in a task of elementwise work: ten to twenty microseconds.
pub(crate) const CHUNK: usize = 1 << 14;

/// Calls `task(i, item)` for every item, in parallel.
pub(crate) fn each<T: Send>(items: impl Iterator<Item = T>, task: impl Fn(usize, T) + Sync) {
    let mut items: Vec<Option<T>> = items.map(Some).collect();
    team::chunks(&mut items, 1, |i, item| {
        if let Some(item) = item[0].take() {
            task(i, item);
        }
    });
}

/// Calls `task(i, item)` for every item, where tasks have parallel loops themselves. Items run in parallel if
/// there are enough for all threads. Otherwise they run one after another, each with all threads.
pub(crate) fn each_or_within<T: Send>(
    items: impl ExactSizeIterator<Item = T>,
    task: impl Fn(usize, T) + Sync,
) {
    if items.len() >= rayon::current_num_threads() {
        each(items, task);
    } else {
        items.enumerate().for_each(|(i, item)| task(i, item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_taken_once_with_its_index_also_within_loops() {
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut found = vec![0; 40];
            pool.install(|| {
                with_awake_workers(|| {
                    each(found.chunks_mut(8), |i, part| {
                        each(part.iter_mut(), |j, place| *place += 8 * i + j + 1);
                    });
                    for len in [20, 1] {
                        each_or_within(found.chunks_mut(len), |_, part| {
                            each(part.iter_mut(), |_, place| *place *= 2);
                        });
                    }
                });
            });
            assert!(found.iter().enumerate().all(|(i, &n)| n == 4 * (i + 1)), "{threads} threads: {found:?}");
        }
    }
}
