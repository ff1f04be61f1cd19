//! The axis of a chart: round numbers from nought to at least the largest value.

/// The most steps of an axis.
const STEPS: u64 = 4;

/// An axis in steps of 1, 2 or 5 times a power of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    step: u64,
    steps: u64,
}

impl Axis {
    /// The shortest axis that holds every value up to the largest.
    pub(super) fn up_to(largest: u64) -> Self {
        let mut step = 1;
        while largest.div_ceil(step) > STEPS {
            step = next(step);
        }
        Self {
            step,
            steps: largest.div_ceil(step).max(1),
        }
    }

    /// Its numbers, the largest first.
    pub(super) fn numbers(self) -> impl Iterator<Item = u64> {
        let steps = (0..=self.steps).rev();
        steps.map(move |number| self.step.saturating_mul(number))
    }

    /// How high a value stands in a drawing, to the nearest unit.
    pub(super) fn height(self, value: u64, drawing: u64) -> u64 {
        let top = self.step.saturating_mul(self.steps);
        let half = top.div_euclid(2);
        let height = value.saturating_mul(drawing).saturating_add(half);
        height.checked_div(top).unwrap_or_default().min(drawing)
    }

    /// The lines at its numbers, without the one at nought, as a path.
    pub(super) fn lines(self, width: usize, drawing: u64) -> String {
        let numbers = self.numbers().filter(|number| *number > 0);
        let lines = numbers.map(|number| {
            let top = drawing.saturating_sub(self.height(number, drawing));
            format!("M0 {top}h{width}")
        });
        lines.collect()
    }
}

/// The next longer step: 1, 2, 5, 10, 20 …
fn next(step: u64) -> u64 {
    let power = 10_u64.saturating_pow(step.checked_ilog10().unwrap_or_default());
    if step == power.saturating_mul(2) {
        power.saturating_mul(5)
    } else {
        step.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_few_round_numbers_and_holds_the_largest_value() {
        for (largest, numbers) in [
            (0, vec![1, 0]),
            (1, vec![1, 0]),
            (3, vec![3, 2, 1, 0]),
            (5, vec![6, 4, 2, 0]),
            (50, vec![60, 40, 20, 0]),
            (99, vec![100, 50, 0]),
            (5_000, vec![6_000, 4_000, 2_000, 0]),
        ] {
            let axis = Axis::up_to(largest);
            assert_eq!(axis.numbers().collect::<Vec<_>>(), numbers, "{largest}");
        }
        assert!(Axis::up_to(u64::MAX).numbers().count() <= 5);
    }

    #[test]
    fn heights_are_in_proportion() {
        let axis = Axis::up_to(50);
        let heights = [0, 1, 20, 50, 60, 999].map(|value| axis.height(value, 120));
        assert_eq!(heights, [0, 2, 40, 100, 120, 120]);
        assert_eq!(axis.lines(240, 120), "M0 0h240M0 40h240M0 80h240");
    }
}
