//! The penalty algorithm: of two replicas, the one to follow, sample by sample.
//!
//! ```text
//! replica a    a₁          a₂          a₃                                      a₄
//! replica b         b₁          b₂          b₃          b₄          b₅
//! followed     a₁          a₂          a₃               b₄          b₅         (a₄ comes too soon after b₅)
//!                   └────────┘ b has a penalty of twice the last step: it is left only for a gap
//! ```
//! More replicas are folded from the left: the first two are one line, which is compared with the third, and so on.
//!
//! A counter has a value for each sample: the total since its replica began, free of resets. Where another replica is
//! followed, those that are behind are raised to where the line is, for good.
//!
//! The same samples are chosen, and counters are raised by the same, as by `pkg/dedup/iter.go` of Thanos.

/// Penalty of the other replica after the first sample, when there is no step yet.
const FIRST_PENALTY_MS: i64 = 5000;

/// Replicas that are compared at once; each adds to the depth of calls.
const MOST_AT_ONCE: usize = 64;

/// A sample of a replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) time_ms: i64,
    /// Total of the counter; none for a stale marker, NaN or histogram.
    pub(super) total: Option<f64>,
    /// Its number, for the caller.
    pub(super) at: usize,
}

/// What is followed of some replicas.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// The samples, their totals raised.
    pub(super) points: Vec<Point>,
    /// By how much each replica is raised in the end.
    pub(super) raised: Vec<f64>,
}

/// Follows the replicas, each with samples in ascending order of time.
pub(super) fn follow(replicas: &[&[Point]]) -> Followed {
    let Some((first, others)) = replicas.split_first() else { return Followed::default() };
    let mut followed = Followed { points: first.to_vec(), raised: vec![0.0] };
    for others in others.chunks(MOST_AT_ONCE) {
        let mut line = Line::One(Replica::new(&followed.points));
        for other in others {
            line = Line::Two(Box::new(Pair::new(line, Replica::new(other))));
        }
        let points = std::iter::from_fn(|| line.advance()).collect();
        let mut raised = Vec::new();
        line.raised(&mut raised);
        // What an earlier round has made is no replica.
        let known = followed.raised.len();
        followed.raised.extend(raised.iter().skip(1));
        if let (1, Some(first), Some(of_first)) = (known, followed.raised.first_mut(), raised.first()) {
            *first = *of_first;
        }
        followed.points = points;
    }
    followed
}

/// One replica, or what is followed of several.
enum Line<'a> {
    One(Replica<'a>),
    Two(Box<Pair<'a>>),
}

impl Line<'_> {
    /// Where it is.
    fn current(&self) -> Option<Point> {
        match self {
            Self::One(replica) => replica.current(),
            Self::Two(pair) => pair.current(),
        }
    }

    /// What is next of a pair. A replica alone is never asked: it is where it is until it is sought.
    fn advance(&mut self) -> Option<Point> {
        match self {
            Self::One(_) => None,
            Self::Two(pair) => pair.advance(),
        }
    }

    /// Moves on to `time_ms`, unless it is there.
    fn seek(&mut self, time_ms: i128) {
        match self {
            Self::One(replica) => replica.seek(time_ms),
            Self::Two(pair) => {
                while pair.current().is_some_and(|point| i128::from(point.time_ms) < time_ms) {
                    pair.advance();
                }
            }
        }
    }

    /// Raises what is behind `total`.
    fn raise(&mut self, total: f64) {
        match self {
            Self::One(replica) => replica.raise(total),
            Self::Two(pair) => pair.raise(total),
        }
    }

    fn raised(&self, all: &mut Vec<f64>) {
        match self {
            Self::One(replica) => all.push(replica.raised),
            Self::Two(pair) => {
                pair.a.raised(all);
                all.push(pair.b.raised);
            }
        }
    }
}

/// The samples of one replica; it begins at the first.
struct Replica<'a> {
    points: &'a [Point],
    next: usize,
    raised: f64,
}

impl<'a> Replica<'a> {
    fn new(points: &'a [Point]) -> Self {
        Self { points, next: 0, raised: 0.0 }
    }

    fn current(&self) -> Option<Point> {
        let point = *self.points.get(self.next)?;
        Some(Point { total: point.total.map(|total| total + self.raised), ..point })
    }

    /// Moves on to `time_ms`, unless it is there.
    fn seek(&mut self, time_ms: i128) {
        while self.current().is_some_and(|point| i128::from(point.time_ms) < time_ms) {
            self.next += 1;
        }
    }

    fn raise(&mut self, total: f64) {
        let own = self.current().and_then(|point| point.total);
        if let Some(own) = own.filter(|&own| total > own) {
            self.raised += total - own;
        }
    }
}

/// Two lines, of which one is followed. It begins before the first sample.
struct Pair<'a> {
    a: Line<'a>,
    b: Replica<'a>,
    /// Time of the sample handed out last.
    last_ms: Option<i64>,
    penalty_a: i64,
    penalty_b: i64,
    follows_a: bool,
    is_done: bool,
}

impl<'a> Pair<'a> {
    fn new(mut a: Line<'a>, b: Replica<'a>) -> Self {
        a.advance();
        Self { a, b, last_ms: None, penalty_a: 0, penalty_b: 0, follows_a: true, is_done: false }
    }

    fn current(&self) -> Option<Point> {
        let followed = if self.follows_a { self.a.current() } else { self.b.current() };
        followed.filter(|_| !self.is_done)
    }

    fn advance(&mut self) -> Option<Point> {
        let last_total = self.current().and_then(|point| point.total);
        let followed_a = self.follows_a;
        if let Some(last_ms) = self.last_ms {
            // Nothing comes after the end of time: it would be sought for ever.
            let after_ms = |penalty: i64| i128::from(last_ms) + 1 + i128::from(penalty);
            self.a.seek(after_ms(self.penalty_a));
            self.b.seek(after_ms(self.penalty_b));
        }
        let (a, b) = (self.a.current(), self.b.current());
        let penalty = |time_ms: i64| match self.last_ms {
            Some(last_ms) => time_ms.saturating_sub(last_ms).saturating_mul(2),
            None => FIRST_PENALTY_MS,
        };
        self.last_ms = match (a, b) {
            (Some(a), Some(b)) if a.time_ms <= b.time_ms => {
                (self.follows_a, self.penalty_a, self.penalty_b) = (true, 0, penalty(a.time_ms));
                Some(a.time_ms)
            }
            (Some(_), Some(b)) => {
                (self.follows_a, self.penalty_a, self.penalty_b) = (false, penalty(b.time_ms), 0);
                Some(b.time_ms)
            }
            (Some(a), None) => {
                (self.follows_a, self.penalty_a) = (true, 0);
                Some(a.time_ms)
            }
            (None, Some(b)) => {
                (self.follows_a, self.penalty_b) = (false, 0);
                Some(b.time_ms)
            }
            (None, None) => {
                self.is_done = true;
                return None;
            }
        };
        if let Some(last_total) = last_total.filter(|_| self.follows_a != followed_a) {
            self.raise(last_total);
        }
        self.current()
    }

    fn raise(&mut self, total: f64) {
        self.a.raise(total);
        self.b.raise(total);
    }
}

#[cfg(test)]
mod tests;
