//! Finds a calmer world that breaks a promise, too: without faults that are not needed, cut off, and with choices lowered
//! in chunks.

#![expect(
    clippy::disallowed_methods,
    reason = "how long it searches changes nothing in a world"
)]

use std::time::{Duration, Instant};

use crate::{choices::Choices, faults::Faults, live, world::World};

/// How long it is searched.
const SEARCHED_FOR: Duration = Duration::from_secs(60);

/// A cut or a chunk of fewer choices is not tried.
const SMALLEST: usize = 50;

/// A world that breaks a promise, after all attempts to make it calmer.
pub(crate) struct Shrunk {
    pub(crate) world: World,
    pub(crate) promise: String,
    /// How many choices are not the lowest.
    pub(crate) choices: usize,
}

/// A broken world, as its choices.
struct Broken {
    seed: u64,
    choices: Vec<u64>,
    until: Instant,
}

impl Broken {
    /// Takes other choices if they break a promise, too, and there is time.
    fn try_out(&mut self, choices: Vec<u64>) -> bool {
        if choices == self.choices || Instant::now() > self.until {
            return false;
        }
        let script = Choices::scripted(self.seed, choices.clone());
        let is_broken = live(&mut World::of(self.seed, script, false)).is_err();
        if is_broken {
            self.choices = choices;
        }
        is_broken
    }

    fn leave_out_faults(&mut self) {
        for place in 0..Faults::CHOICES.min(self.choices.len()) {
            let mut fewer = self.choices.clone();
            fewer[place] = 0;
            self.try_out(fewer);
        }
    }

    /// What comes after the cut is calm.
    fn cut(&mut self) {
        let mut length = self.choices.len() / 2;
        while length > SMALLEST {
            let left = self.choices.len().saturating_sub(length);
            if !self.try_out(self.choices[..left].to_vec()) {
                length /= 2;
            }
            length = length.min(self.choices.len() / 2);
        }
    }

    fn lower(&mut self) {
        let mut chunk = self.choices.len().div_ceil(4);
        while chunk > SMALLEST && Instant::now() < self.until {
            for begin in (0..self.choices.len()).step_by(chunk) {
                let end = self.choices.len().min(begin + chunk);
                let _ = self.try_lowered(begin..end, |_| 0)
                    || self.try_lowered(begin..end, |choice| choice / 2);
            }
            chunk = chunk.div_ceil(3);
        }
    }

    fn try_lowered(&mut self, chunk: std::ops::Range<usize>, lowered: fn(u64) -> u64) -> bool {
        let mut lower = self.choices.clone();
        for choice in &mut lower[chunk] {
            *choice = lowered(*choice);
        }
        self.try_out(lower)
    }
}

/// Shrinks the broken world of a seed.
pub(crate) fn shrink(seed: u64, choices: Vec<u64>) -> Shrunk {
    let mut broken = Broken {
        seed,
        choices,
        until: Instant::now() + SEARCHED_FOR,
    };
    // Only the last promise is told.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    broken.leave_out_faults();
    broken.cut();
    broken.lower();
    std::panic::set_hook(told);
    let known = broken.choices;
    let choices = known.iter().filter(|choice| **choice > 0).count();
    let mut world = World::of(seed, Choices::scripted(seed, known), true);
    let promise = live(&mut world).expect_err("it is broken");
    Shrunk {
        world,
        promise,
        choices,
    }
}
