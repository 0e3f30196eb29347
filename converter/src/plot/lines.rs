//! Lines: points cut where nothing is known, and no more of them than pixels show.

use super::axis::Axis;

/// Columns of pixels that points are told apart in.
const COLUMNS: f64 = 1200.0;

/// What is drawn of points that follow each other.
pub(super) type Line = Vec<(f64, f64)>;

/// Points in time order, joined as far as they are near.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    x: &'a Axis,
    y: &'a Axis,
    lines: Vec<Line>,
    is_open: bool,
    /// Those of the column at hand: the first, the lowest, the highest, the last; and their order.
    column: Vec<(f64, f64)>,
}

impl<'a> Lines<'a> {
    /// No points yet.
    pub(super) fn new(x: &'a Axis, y: &'a Axis) -> Self {
        Self { x, y, lines: Vec::new(), is_open: false, column: Vec::new() }
    }

    /// The next point; what is not finite ends the line.
    pub(super) fn push(&mut self, time_ms: f64, value: f64) {
        if !value.is_finite() {
            return self.end_line();
        }
        let point = (self.x.place(time_ms), self.y.place(value));
        let column = |(x, _): (f64, f64)| (x * COLUMNS).floor();
        if self.column.first().is_some_and(|&first| column(first) != column(point)) {
            self.end_column();
        }
        self.column.push(point);
        // Of a column, four points show as much as all.
        if self.column.len() >= 64 {
            self.thin();
        }
    }

    /// The next point is not joined.
    pub(super) fn end_line(&mut self) {
        self.end_column();
        self.is_open = false;
    }

    /// All lines, each with at least one point.
    pub(super) fn finish(mut self) -> Vec<Line> {
        self.end_column();
        self.lines
    }

    fn end_column(&mut self) {
        self.thin();
        if self.column.is_empty() {
            return;
        }
        match self.lines.last_mut().filter(|_| self.is_open) {
            Some(line) => line.append(&mut self.column),
            None => self.lines.push(std::mem::take(&mut self.column)),
        }
        self.is_open = true;
    }

    fn thin(&mut self) {
        let by_height = |&a: &usize, &b: &usize| {
            let height = |at: usize| self.column.get(at).map_or(0.0, |&(_, y)| y);
            height(a).total_cmp(&height(b))
        };
        let all = 0..self.column.len();
        let (Some(lowest), Some(highest)) = (all.clone().min_by(by_height), all.max_by(by_height)) else {
            return;
        };
        let last = self.column.len() - 1;
        let mut at = 0;
        self.column.retain(|_| {
            let is_kept = [0, lowest, highest, last].contains(&at);
            at += 1;
            is_kept
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_values_are_not_finite() {
        let (x, y) = (Axis::of_times(0, 100), Axis::of_values([0.0, 10.0].into_iter()));
        let mut lines = Lines::new(&x, &y);
        lines.push(0.0, f64::NAN);
        for (time_ms, value) in
            [(1.0, 1.0), (20.0, 2.0), (30.0, f64::INFINITY), (40.0, 3.0), (50.0, f64::NAN)]
        {
            lines.push(time_ms, value);
        }
        let lens: Vec<_> = lines.finish().iter().map(Vec::len).collect();
        assert_eq!(lens, [2, 1]);
    }

    #[test]
    fn of_many_points_the_extremes_stay() {
        let (x, y) = (Axis::of_times(0, 1_000_000), Axis::of_values([0.0, 10.0].into_iter()));
        let mut lines = Lines::new(&x, &y);
        for at in 0..=1_000_000 {
            let value = if at == 500_000 { 10.0 } else { f64::from(at % 7) };
            lines.push(f64::from(at), value);
        }
        let lines = lines.finish();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].len() < 5_000, "{}", lines[0].len());
        assert!(lines[0].iter().any(|&(_, height)| height == y.place(10.0)));
        assert!(lines[0].is_sorted_by(|a, b| a.0 <= b.0));
    }
}
