//! The turns of a batch in groups, one for each thread: who computes pictures of its own reads what it wrote itself.
//!
//! Handing a loop's parts to threads costs little, but the next loop's parts are seldom those of the last one, and what another
//! core wrote comes from there: cheap within a cache that they share, slow across two (400 ns against 50 for a word, there and
//! back, where this was measured). Each group has an arena of its own; what is fed and read lies apart from them, in one piece
//! for the whole batch.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Rules, back_turns, forward_turns};
use crate::kernels::{Arena, Region, team};
use crate::plan::Plan;

/// The memory of all groups.
pub(super) struct Groups {
    arenas: Vec<Mutex<Arena>>,
    inputs: Vec<Outside>,
    gradients: Vec<Outside>,
    values: Vec<Outside>,
    seeds: Vec<Outside>,
}

/// What is fed or read, of all turns, and where one turn has it.
struct Outside {
    region: Region,
    data: Arena,
}

impl Outside {
    /// Of `turns` in all, or `None` where the system has no such memory.
    fn new(region: Region, turns: usize) -> Option<Self> {
        Some(Self { region, data: Arena::try_new(region.len.saturating_mul(turns))? })
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

    /// Brings a group's part into its arena.
    fn hand_in(&self, group: usize, turns: usize, arena: &mut Arena) {
        let len = self.region.len * turns;
        arena.slice_mut(self.region.of_turns(turns)).copy_from_slice(&self.numbers()[group * len..][..len]);
    }

    /// Fetches every group's part from its arena.
    fn fetch(&mut self, turns: usize, arenas: &[Mutex<Arena>]) {
        let region = self.region.of_turns(turns);
        team::chunks(self.numbers_mut(), region.len, |group, part| {
            part.copy_from_slice(lock(&arenas[group]).slice(region));
        });
    }
}

fn lock(arena: &Mutex<Arena>) -> MutexGuard<'_, Arena> {
    arena.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which of them a turn has in a region.
fn find(outsides: &[Outside], region: Region) -> usize {
    let found = outsides.iter().position(|outside| outside.region == region);
    found.expect("there is one for each region that is fed or read")
}

impl Groups {
    /// Memory for a plan, or `None` where the system has no such memory.
    pub(super) fn new(plan: &Plan) -> Option<Self> {
        let arenas = (0..plan.groups).map(|_| Some(Mutex::new(Arena::try_new(plan.arena_len)?)));
        let of = |regions: Vec<Region>| -> Option<Vec<Outside>> {
            regions.into_iter().map(|region| Outside::new(region, plan.turns)).collect()
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

    /// Computes all targets; `observe` is told of the steps of the first group.
    pub(super) fn forward(&mut self, plan: &Plan, observe: &mut (dyn FnMut(usize) + Send)) {
        let turns = plan.turns / plan.groups;
        let observe = Mutex::new(observe);
        team::run(|| {
            team::each(self.arenas.len(), 1, |group| {
                let mut arena = lock(&self.arenas[group]);
                for input in plan.inputs.iter().filter(|input| input.used) {
                    self.inputs[find(&self.inputs, input.region)].hand_in(group, turns, &mut arena);
                }
                forward_turns(&mut arena, plan, turns, &mut |step| tell(&observe, group, step));
            });
            self.values.iter_mut().for_each(|value| value.fetch(turns, &self.arenas));
            self.seeds.iter_mut().for_each(|seed| {
                let part = seed.region.len * turns;
                team::chunks(seed.numbers_mut(), part, |_, seed| seed.fill(0.0));
            });
        });
    }

    /// Computes the gradients with respect to all inputs; `observe` is told of the steps of the first group.
    pub(super) fn backward(&mut self, plan: &Plan, rules: &Rules, observe: &mut (dyn FnMut(usize) + Send)) {
        let turns = plan.turns / plan.groups;
        let observe = Mutex::new(observe);
        team::run(|| {
            team::each(self.arenas.len(), 1, |group| {
                let mut arena = lock(&self.arenas[group]);
                self.seeds.iter().for_each(|seed| seed.hand_in(group, turns, &mut arena));
                back_turns(&mut arena, plan, turns, rules, &mut |step| tell(&observe, group, step));
            });
            self.gradients.iter_mut().for_each(|gradient| gradient.fetch(turns, &self.arenas));
        });
    }

    /// What all turns have in an input's region.
    pub(super) fn input_mut(&mut self, region: Region) -> &mut [f32] {
        let at = find(&self.inputs, region);
        self.inputs[at].numbers_mut()
    }

    /// In a target's.
    pub(super) fn value(&self, region: Region) -> &[f32] {
        self.values[find(&self.values, region)].numbers()
    }

    /// In a target's and that of its seed.
    pub(super) fn seed(&mut self, value: Region, seed: Region) -> (&[f32], &mut [f32]) {
        let (value, seed) = (find(&self.values, value), find(&self.seeds, seed));
        (self.values[value].numbers(), self.seeds[seed].numbers_mut())
    }

    /// In that of an input's gradient.
    pub(super) fn gradient(&self, region: Region) -> &[f32] {
        self.gradients[find(&self.gradients, region)].numbers()
    }
}

/// Groups do the same side by side, so the first one's steps tell when each is done.
fn tell(observe: &Mutex<&mut (dyn FnMut(usize) + Send)>, group: usize, step: usize) {
    if group == 0 {
        observe.lock().unwrap_or_else(PoisonError::into_inner)(step);
    }
}
