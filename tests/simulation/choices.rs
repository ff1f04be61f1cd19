//! The choices of a world: all of them follow from its seed. They are recorded, so that a world can be lived again with
//! some of them lowered; the lowest choice is always the calmest.

/// A source of choices (splitmix64), or a list of them.
pub(crate) struct Choices {
    state: u64,
    /// The choices to make; all others are 0.
    script: Option<Vec<u64>>,
    /// The choices made.
    pub(crate) made: Vec<u64>,
    ids: u64,
}

impl Choices {
    pub(crate) const fn of(seed: u64) -> Self {
        Self {
            state: seed,
            script: None,
            made: Vec::new(),
            ids: seed,
        }
    }

    /// The choices of a list, in a world of a seed.
    pub(crate) fn scripted(seed: u64, script: Vec<u64>) -> Self {
        Self {
            script: Some(script),
            ..Self::of(seed)
        }
    }

    const fn mix(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        let drawn = match &self.script {
            Some(script) => script.get(self.made.len()).copied().unwrap_or(0),
            None => Self::mix(&mut self.state),
        };
        let chosen = drawn % limit;
        self.made.push(chosen);
        chosen
    }

    /// A number that orders what happens at the same time.
    pub(crate) fn tie(&mut self) -> u64 {
        self.below(1 << 20)
    }

    /// A number from `least` to `most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Whether something happens that happens in so many of a thousand cases.
    pub(crate) fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1000) >= 1000 - per_mille
    }

    /// A seed for ids that somebody else draws.
    pub(crate) const fn seed(&mut self) -> u64 {
        Self::mix(&mut self.ids)
    }

    /// Ten bytes for an id; no choice, so that ids differ in every world.
    pub(crate) fn bytes(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&Self::mix(&mut self.ids).to_be_bytes());
        bytes
    }
}
