//! Loops that are shared out among threads: by the workers that a step keeps awake, where it does, else by
//! `rayon`.
//!
//! A step is many short loops, and a worker of `rayon` that has gone to sleep takes longer to wake than many
//! of them take (see [`oneiro_net::team`]). The assignment of work to threads changes no bit of the result.

use oneiro_net::team;

pub(crate) use team::run as with_awake_workers;

/// Numbers of a task of elementwise work, about: some ten to twenty microseconds.
pub(crate) const CHUNK: usize = 1 << 14;

/// `task(i, item)` for every item, in parallel.
pub(crate) fn each<T: Send>(items: impl Iterator<Item = T>, task: impl Fn(usize, T) + Sync) {
    let mut items: Vec<Option<T>> = items.map(Some).collect();
    team::chunks(&mut items, 1, |i, item| {
        if let Some(item) = item[0].take() {
            task(i, item);
        }
    });
}

/// `task(i, item)` for every item, whose loops are themselves parallel: the items in parallel where there are
/// enough for all threads, else one after another, each with all threads.
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
