//! What an isolate keeps of the catalogue, and when it asks for more: the copy in KV is kept a minute, and before a type is
//! refused the catalogue's object is asked, at most once a second.

use std::{rc::Rc, time::Duration};

use crate::domain::{catalogue::Catalogue, timestamp::Timestamp};

/// How long a catalogue is kept.
const KEPT: Duration = Duration::from_secs(60);

/// How long after an isolate has begun to ask the object because of an unknown type it does not ask again.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(1);

/// The catalogue that an isolate keeps.
#[derive(Debug, Default)]
pub struct IsolateCopy {
    kept: Option<(Rc<Catalogue>, Timestamp)>,
    /// The newest revision that this isolate has made.
    made: u64,
    /// When it last asked because of an unknown type, and what has become of that.
    asked: Option<(Timestamp, Asked)>,
}

/// What has become of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    UnderWay,
    Answered,
    Failed,
}

/// What is done before a type is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum BeforeRefusal {
    /// It is judged by this one, for which the object was asked within a second.
    Judge(Rc<Catalogue>),
    /// The object is asked, after [`IsolateCopy::asks`].
    Ask,
    /// Another request's question is under way: it is looked at again a moment later.
    Wait,
    /// The object did not answer within this second, so nobody knows whether there is such a type.
    GiveUp,
}

impl IsolateCopy {
    /// Makes an empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            kept: None,
            made: 0,
            asked: None,
        }
    }

    /// The catalogue, if it is kept and less than a minute old.
    #[must_use]
    pub fn fresh(&self, now: Timestamp) -> Option<Rc<Catalogue>> {
        let (catalogue, since) = self.kept.as_ref()?;
        let is_fresh = is_within(*since, KEPT, now) && catalogue.revision >= self.made;
        is_fresh.then(|| Rc::clone(catalogue))
    }

    /// Takes the copy that KV has; none if the object has to be asked, because KV has none or an older one than is known.
    pub fn read(&mut self, copy: Option<Catalogue>, now: Timestamp) -> Option<Rc<Catalogue>> {
        let known = self.kept.as_ref().map(|(kept, _)| kept.revision);
        let known = known.unwrap_or_default().max(self.made);
        let copy = copy.filter(|copy| copy.revision >= known)?;
        Some(self.keep(copy, now))
    }

    /// Takes the answer of the object to a question that began at a time.
    pub fn answered(
        &mut self,
        answer: Catalogue,
        began: Timestamp,
        now: Timestamp,
    ) -> Rc<Catalogue> {
        self.asked_ended(began, Asked::Answered);
        // One that was asked for later may have answered earlier.
        let newer = self.kept.as_ref();
        let newer =
            newer.filter(|(kept, since)| kept.revision > answer.revision && *since >= began);
        match newer {
            Some((kept, _)) => Rc::clone(kept),
            None => self.keep(answer, now),
        }
    }

    /// The object did not answer a question that began at a time. Returns what is kept, however old it is.
    pub fn not_answered(&mut self, began: Timestamp) -> Option<Rc<Catalogue>> {
        self.asked_ended(began, Asked::Failed);
        let (kept, _) = self.kept.as_ref()?;
        Some(Rc::clone(kept))
    }

    /// What is done before a type is refused.
    #[must_use]
    pub fn before_refusal(&self, now: Timestamp) -> BeforeRefusal {
        let asked = self.asked;
        let asked = asked.filter(|(began, _)| is_within(*began, BETWEEN_QUESTIONS, now));
        match (asked, &self.kept) {
            (Some((_, Asked::UnderWay)), _) => BeforeRefusal::Wait,
            (Some((_, Asked::Failed)), _) => BeforeRefusal::GiveUp,
            (Some((_, Asked::Answered)), Some((kept, _))) => BeforeRefusal::Judge(Rc::clone(kept)),
            _ => BeforeRefusal::Ask,
        }
    }

    /// The object is asked because of an unknown type.
    pub const fn asks(&mut self, now: Timestamp) {
        self.asked = Some((now, Asked::UnderWay));
    }

    /// This isolate has made a change, or may have: what it keeps is old.
    pub fn changed(&mut self, revision: Option<u64>) {
        self.made = self.made.max(revision.unwrap_or_default());
        self.kept = None;
        self.asked = None;
    }

    fn keep(&mut self, catalogue: Catalogue, now: Timestamp) -> Rc<Catalogue> {
        let catalogue = Rc::new(catalogue);
        self.kept = Some((Rc::clone(&catalogue), now));
        catalogue
    }

    fn asked_ended(&mut self, began: Timestamp, end: Asked) {
        if let Some((asked, state)) = &mut self.asked
            && *asked == began
        {
            *state = end;
        }
    }
}

/// Whether less than a length has passed since a time. A time in the future means that the clock was put back.
fn is_within(since: Timestamp, length: Duration, now: Timestamp) -> bool {
    since <= now && now.saturating_duration_since(since) < length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_kept_a_minute() {
        let mut copy = IsolateCopy::new();
        assert_eq!(copy.fresh(at(0)), None);
        assert_eq!(copy.read(None, at(0)), None, "KV has none");
        let read = copy.read(Some(catalogue(3)), at(0)).unwrap();
        assert_eq!(copy.fresh(at(59_999)), Some(read));
        assert_eq!(copy.fresh(at(60_000)), None);
        assert_eq!(copy.fresh(at(-1)), None, "the clock was put back");
    }

    #[test]
    fn a_copy_that_is_older_than_what_is_known_is_not_taken() {
        let mut copy = IsolateCopy::new();
        copy.answered(catalogue(5), at(0), at(0));
        assert_eq!(copy.read(Some(catalogue(4)), at(60_000)), None);
        assert!(copy.read(Some(catalogue(5)), at(60_000)).is_some());
        copy.changed(Some(7));
        assert_eq!(copy.fresh(at(60_000)), None);
        assert_eq!(copy.read(Some(catalogue(6)), at(60_000)), None);
        assert!(copy.read(Some(catalogue(7)), at(60_000)).is_some());
    }

    #[test]
    fn the_object_is_asked_at_most_once_a_second_before_a_type_is_refused() {
        let mut copy = IsolateCopy::new();
        copy.read(Some(catalogue(1)), at(0));
        assert_eq!(copy.before_refusal(at(0)), BeforeRefusal::Ask);
        copy.asks(at(0));
        assert_eq!(copy.before_refusal(at(100)), BeforeRefusal::Wait);
        assert_eq!(
            copy.before_refusal(at(1_000)),
            BeforeRefusal::Ask,
            "it may be lost"
        );
        let answer = copy.answered(catalogue(1), at(0), at(200));
        assert_eq!(copy.before_refusal(at(999)), BeforeRefusal::Judge(answer));
        assert_eq!(copy.before_refusal(at(1_000)), BeforeRefusal::Ask);
        assert_eq!(copy.before_refusal(at(-1)), BeforeRefusal::Ask);
    }

    #[test]
    fn no_type_is_refused_while_the_object_does_not_answer() {
        let mut copy = IsolateCopy::new();
        copy.read(Some(catalogue(1)), at(0));
        copy.asks(at(0));
        assert_eq!(copy.not_answered(at(0)).unwrap().revision, 1);
        assert_eq!(copy.before_refusal(at(999)), BeforeRefusal::GiveUp);
        assert_eq!(copy.before_refusal(at(1_000)), BeforeRefusal::Ask);
    }

    #[test]
    fn the_end_of_an_earlier_question_says_nothing_of_a_later_one() {
        let mut copy = IsolateCopy::new();
        copy.asks(at(0));
        copy.asks(at(1_000));
        copy.answered(catalogue(1), at(0), at(1_100));
        assert_eq!(copy.before_refusal(at(1_200)), BeforeRefusal::Wait);
        copy.answered(catalogue(2), at(1_000), at(1_300));
        let last = copy.answered(catalogue(1), at(900), at(1_400));
        assert_eq!(last.revision, 2, "an answer that is overtaken is not kept");
        let restored = copy.answered(catalogue(1), at(1_500), at(1_600));
        assert_eq!(restored.revision, 1, "the object is right");
    }

    #[test]
    fn after_a_change_of_its_own_an_isolate_asks_at_once() {
        let mut copy = IsolateCopy::new();
        copy.asks(at(0));
        copy.answered(catalogue(1), at(0), at(0));
        copy.changed(None);
        assert_eq!(copy.before_refusal(at(1)), BeforeRefusal::Ask);
        assert_eq!(copy.fresh(at(1)), None);
    }

    fn catalogue(revision: u64) -> Catalogue {
        Catalogue::new(revision, Vec::new())
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }
}
