//! Replicas of a plan's memory, one for each thread. Each thread computes pictures of its own and reads only
//! its own results.
//!
//! Sharing every loop among threads costs more, because a thread then reads results that another core wrote.
//! Within a shared cache such an exchange is cheap: a round trip between cores takes 50 ns with a shared
//! cache and 400 ns without (measured on an AMD EPYC). Each replica has an arena of its own. Inputs, targets
//! and their gradients are stored outside the arenas, contiguous for the whole batch.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Rules, back_micro_batches, forward_micro_batches};
use crate::kernels::{Arena, Region, team};
use crate::plan::Plan;

/// The arenas of all replicas, and the data of the whole batch outside them.
pub(super) struct Replicas {
    arenas: Vec<Mutex<Arena>>,
    inputs: Vec<Outside>,
    gradients: Vec<Outside>,
    values: Vec<Outside>,
    seeds: Vec<Outside>,
}

/// An input, a target or a gradient for the whole batch, with the region that one micro-batch uses in its
/// arena.
struct Outside {
    region: Region,
    data: Arena,
}

impl Outside {
    /// Allocates memory for `micro_batches`. Returns `None` if memory runs out.
    fn new(region: Region, micro_batches: usize) -> Option<Self> {
        Some(Self { region, data: Arena::try_new(region.len.saturating_mul(micro_batches))? })
    }

    fn all(&self) -> Region {
        Region::new(0, self.data.len())
    }

    fn numbers(&self) -> &[f32] {
        self.data.slice(self.all())
    }

    fn numbers_mut(&mut self) -> &mut [f32] {
        self.data.slice_mut(self.all())
    }

    /// Copies a replica's part of the data into its arena.
    fn hand_in(&self, replica: usize, micro_batches: usize, arena: &mut Arena) {
        let len = self.region.len * micro_batches;
        arena
            .slice_mut(self.region.of_micro_batches(micro_batches))
            .copy_from_slice(&self.numbers()[replica * len..][..len]);
    }

    /// Copies every replica's part out of its arena.
    fn fetch(&mut self, micro_batches: usize, arenas: &[Mutex<Arena>]) {
        let region = self.region.of_micro_batches(micro_batches);
        team::chunks(self.numbers_mut(), region.len, |replica, part| {
            part.copy_from_slice(lock(&arenas[replica]).slice(region));
        });
    }
}

fn lock(arena: &Mutex<Arena>) -> MutexGuard<'_, Arena> {
    arena.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the index of the outside memory that belongs to this region of the arenas.
fn find(outsides: &[Outside], region: Region) -> usize {
    let found = outsides.iter().position(|outside| outside.region == region);
    found.expect("there is one for each region that is fed or read")
}

impl Replicas {
    /// Allocates the memory of a plan. Returns `None` if memory runs out.
    pub(super) fn new(plan: &Plan) -> Option<Self> {
        let arenas = (0..plan.replicas).map(|_| Some(Mutex::new(Arena::try_new(plan.arena_len)?)));
        let of = |regions: Vec<Region>| -> Option<Vec<Outside>> {
            regions.into_iter().map(|region| Outside::new(region, plan.micro_batches)).collect()
        };
        let [inputs, gradients, values, seeds] = plan.outside();
        Some(Self {
            arenas: arenas.collect::<Option<_>>()?,
            inputs: of(inputs)?,
            gradients: of(gradients)?,
            values: of(values)?,
            seeds: of(seeds)?,
        })
    }

    /// Computes all targets; `observe` gets the steps of the first replica.
    pub(super) fn forward(&mut self, plan: &Plan, observe: &mut (dyn FnMut(usize) + Send)) {
        let micro_batches = plan.micro_batches / plan.replicas;
        let observe = Mutex::new(observe);
        team::run(|| {
            team::each(self.arenas.len(), 1, |replica| {
                let mut arena = lock(&self.arenas[replica]);
                for input in plan.inputs.iter().filter(|input| input.used) {
                    self.inputs[find(&self.inputs, input.region)].hand_in(replica, micro_batches, &mut arena);
                }
                forward_micro_batches(&mut arena, plan, micro_batches, &mut |step| {
                    tell(&observe, replica, step)
                });
            });
            self.values.iter_mut().for_each(|value| value.fetch(micro_batches, &self.arenas));
            self.seeds.iter_mut().for_each(|seed| {
                let part = seed.region.len * micro_batches;
                team::chunks(seed.numbers_mut(), part, |_, seed| seed.fill(0.0));
            });
        });
    }

    /// Computes the gradients that the plan keeps; `observe` gets the steps of the first replica.
    pub(super) fn backward(&mut self, plan: &Plan, rules: &Rules, observe: &mut (dyn FnMut(usize) + Send)) {
        let micro_batches = plan.micro_batches / plan.replicas;
        let observe = Mutex::new(observe);
        team::run(|| {
            team::each(self.arenas.len(), 1, |replica| {
                let mut arena = lock(&self.arenas[replica]);
                self.seeds.iter().for_each(|seed| seed.hand_in(replica, micro_batches, &mut arena));
                back_micro_batches(&mut arena, plan, micro_batches, rules, &mut |step| {
                    tell(&observe, replica, step)
                });
            });
            self.gradients.iter_mut().for_each(|gradient| gradient.fetch(micro_batches, &self.arenas));
        });
    }

    /// Returns an input of the whole batch.
    pub(super) fn input_mut(&mut self, region: Region) -> &mut [f32] {
        let at = find(&self.inputs, region);
        self.inputs[at].numbers_mut()
    }

    /// Returns a target of the whole batch.
    pub(super) fn value(&self, region: Region) -> &[f32] {
        self.values[find(&self.values, region)].numbers()
    }

    /// Returns a target of the whole batch, and its seed.
    pub(super) fn seed(&mut self, value: Region, seed: Region) -> (&[f32], &mut [f32]) {
        let (value, seed) = (find(&self.values, value), find(&self.seeds, seed));
        (self.values[value].numbers(), self.seeds[seed].numbers_mut())
    }

    /// Returns the gradient of an input or an inner value, for the whole batch.
    pub(super) fn gradient(&self, region: Region) -> &[f32] {
        self.gradients[find(&self.gradients, region)].numbers()
    }
}

/// Reports a step to the observer. Only the first replica reports, since all replicas run the same steps at
/// the same time.
fn tell(observe: &Mutex<&mut (dyn FnMut(usize) + Send)>, replica: usize, step: usize) {
    if replica == 0 {
        observe.lock().unwrap_or_else(PoisonError::into_inner)(step);
    }
}
