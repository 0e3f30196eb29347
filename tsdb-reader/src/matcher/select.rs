//! Resolving matchers through postings: the same series as Prometheus' `PostingsForMatchers`.
//!
//! A matcher that an absent label fails picks series: those in the postings of the values it accepts. One that an
//! absent label passes cannot, for series without the label are in no list of it; it takes away those in the postings
//! of the values it refuses. So does a negative matcher whose label another one requires, as that is less to read.
//! If no matcher picks, all series are what is taken from.
//!
//! Defined in Prometheus' `tsdb/querier.go`.

use std::collections::HashSet;

use super::regex::ValueRegex;
use super::{MatchOp, Matcher};
use crate::error::Error;
use crate::index::{Index, Postings, PostingsOffset};
use crate::refs::SeriesRef;

impl Index {
    /// References of the series that pass all matchers, ascending, which is label order. All series without any
    /// matcher.
    pub fn select(&self, matchers: &[Matcher]) -> Result<Vec<SeriesRef>, Error> {
        let required: HashSet<&[u8]> =
            matchers.iter().filter(|matcher| !matcher.matches_empty()).map(Matcher::name).collect();
        let (mut picked, mut taken) = (Vec::new(), Vec::new());
        for matcher in matchers {
            if matcher.name().is_empty() {
                // No series has a label without a name; the index lists all series under it.
                if matcher.matches_empty() {
                    continue;
                }
                return Ok(Vec::new());
            }
            match (&matcher.regex, matcher.op()) {
                (Some(ValueRegex::Anything), MatchOp::Regex) => continue,
                (Some(ValueRegex::Anything), _) => return Ok(Vec::new()),
                _ => {}
            }
            let takes =
                matcher.matches_empty() && (matcher.is_negative() || !required.contains(matcher.name()));
            if takes {
                taken.push(self.lists(matcher, false)?);
            } else {
                let lists = self.lists(matcher, true)?;
                if lists.is_empty() {
                    return Ok(Vec::new());
                }
                picked.push(lists);
            }
        }
        let mut picked = picked.iter().map(|lists| self.union(lists)).collect::<Result<Vec<_>, _>>()?;
        picked.sort_by_key(Postings::len);
        let mut picked = picked.into_iter();
        let first = match picked.next() {
            Some(smallest) => smallest,
            None => self.all_postings()?,
        };
        let mut series: Vec<SeriesRef> = first.collect();
        for mut other in picked {
            series.retain(|at| other.seek(*at) == Some(*at));
        }
        for lists in taken {
            let mut other = self.union(&lists)?;
            series.retain(|at| other.seek(*at) != Some(*at));
        }
        Ok(series)
    }

    /// The postings of all values of the matcher's label that it accepts, or of those that it refuses.
    fn lists(&self, matcher: &Matcher, accepted: bool) -> Result<Vec<PostingsOffset>, Error> {
        let name = matcher.name();
        // `=` and `=~` accept what they list, `!=` and `!~` refuse it.
        if accepted != matcher.is_negative()
            && let Some(values) = matcher.listed_values()
        {
            let table = self.postings_table()?;
            return Ok(values.iter().filter_map(|value| table.find(name, value)).collect());
        }
        let prefix = match &matcher.regex {
            Some(regex) if accepted != matcher.is_negative() => regex.prefix(),
            _ => "",
        };
        let values = self.label_values_from(name, prefix.as_bytes())?;
        let values = values.take_while(|(value, _)| value.starts_with(prefix.as_bytes()));
        Ok(values.filter(|(value, _)| matcher.matches(value) == accepted).map(|(_, offset)| offset).collect())
    }

    fn union(&self, offsets: &[PostingsOffset]) -> Result<Postings, Error> {
        let mut offsets = offsets.to_vec();
        // A list named twice is read once, so that a hostile table cannot ask for more than the file has.
        offsets.sort_unstable();
        offsets.dedup();
        Ok(Postings::union(self.read_postings_many(&offsets)?))
    }
}
