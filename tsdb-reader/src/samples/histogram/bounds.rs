//! Bounds: where buckets begin and end.
//!
//! ```text
//! schema −9 to 8   positive bucket i   ( 2^((i − 1) / 2^schema), 2^(i / 2^schema) ]
//!                  negative bucket i   the same, mirrored: [ −upper, −lower )
//! custom           bucket i            ( bound i − 1, bound i ]      i = 0 from −Inf on, the last one up to +Inf
//! ```
//! The bound that would be 2^1024 is the largest finite double; the bucket behind it ends at +Inf.
//! Powers are those of the reference, whose table is not rounded correctly everywhere: to be equal bit for bit, entries
//! are made as its own were, each from its left neighbour times a constant of the schema.
//! Defined in Prometheus' `model/histogram/generic.go`, `getBound`.

use std::iter;

use super::{CUSTOM_BUCKETS_SCHEMA, HistogramLayout, Span};

/// 2^(1 / 2^schema) of the schemas 1 to 8, as bits.
const FACTORS: [u64; 8] = [
    0x3ff6_a09e_667f_3bcc,
    0x3ff3_06fe_0a31_b715,
    0x3ff1_72b8_3c7d_517b,
    0x3ff0_b558_6cf9_890f,
    0x3ff0_59b0_d315_8574,
    0x3ff0_2c9a_3e77_8061,
    0x3ff0_163d_a9fb_3335,
    0x3ff0_0b1a_fa5a_bcbf,
];

/// 2^(i / 256 − 1), from 0.5 to 1. Coarser schemas use every second, fourth… of them.
const FRACTIONS: [f64; 256] = fractions();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn fractions() -> [f64; 256] {
    let mut fractions = [0.5; 256];
    let (mut schema, mut step) = (0, 128);
    while schema < FACTORS.len() {
        let factor = f64::from_bits(FACTORS[schema]);
        let mut at = step;
        while at < fractions.len() {
            fractions[at] = fractions[at - step] * factor;
            at += 2 * step;
        }
        schema += 1;
        step /= 2;
    }
    fractions
}

impl HistogramLayout {
    /// Where positive bucket `index` ends, itself included. It begins where the bucket before it ends.
    ///
    /// Not a number for schemas that decoders never hand out.
    pub fn upper_bound(&self, index: i32) -> f64 {
        match self.schema {
            CUSTOM_BUCKETS_SCHEMA => match usize::try_from(index) {
                Ok(index) => self.custom_bounds.get(index).copied().unwrap_or(f64::INFINITY),
                Err(_) => f64::NEG_INFINITY,
            },
            schema @ -9..=8 => exponential_bound(index, schema),
            _ => f64::NAN,
        }
    }

    /// Puts lower and upper bound of all buckets into `bounds`: the negative ones from the one farthest from zero on,
    /// then the positive ones. So are the counts of
    /// [`HistogramRow::counts_ascending`](super::HistogramRow::counts_ascending) in order.
    ///
    /// There are as many as the spans say; layouts of decoders never say more than there was data for.
    pub fn ascending_bounds(&self, bounds: &mut Vec<(f64, f64)>) {
        bounds.clear();
        bounds.extend(indexes_descending(&self.negative_spans).map(|index| self.negative_bounds(index)));
        bounds.extend(indexes(&self.positive_spans).map(|index| self.positive_bounds(index)));
    }

    /// Lower and upper bound of positive bucket `index`.
    pub(super) fn positive_bounds(&self, index: i32) -> (f64, f64) {
        (self.upper_bound(index.wrapping_sub(1)), self.upper_bound(index))
    }

    /// Lower and upper bound of negative bucket `index`.
    pub(super) fn negative_bounds(&self, index: i32) -> (f64, f64) {
        let (near, far) = self.positive_bounds(index);
        (-far, -near)
    }
}

/// Indexes of the buckets of `spans`.
pub(super) fn indexes(spans: &[Span]) -> impl Iterator<Item = i32> {
    let mut next = 0i32;
    spans.iter().flat_map(move |span| {
        let start = next.wrapping_add(span.offset);
        next = start.wrapping_add_unsigned(span.length);
        (0..span.length).map(move |at| start.wrapping_add_unsigned(at))
    })
}

/// The same from the last one on.
pub(super) fn indexes_descending(spans: &[Span]) -> impl Iterator<Item = i32> {
    let step = |index: i32, span: &Span| index.wrapping_add(span.offset).wrapping_add_unsigned(span.length);
    let mut end = spans.iter().fold(0, step);
    spans.iter().rev().flat_map(move |span| {
        let last = end.wrapping_sub(1);
        end = end.wrapping_sub_unsigned(span.length).wrapping_sub(span.offset);
        iter::successors(Some(last), |index| Some(index.wrapping_sub(1)))
            .zip(0..span.length)
            .map(|(index, _)| index)
    })
}

/// The upper bound of bucket `index` of a schema from -9 to 8.
pub(super) fn exponential_bound(index: i32, schema: i32) -> f64 {
    let index = i64::from(index);
    let (fraction, exponent) = if schema < 0 {
        (0.5, (index << -schema) + 1)
    } else {
        let place = (index << (8 - schema)) & 255;
        let fraction = usize::try_from(place).ok().and_then(|place| FRACTIONS.get(place));
        (fraction.copied().unwrap_or(f64::NAN), (index >> schema) + 1)
    };
    if fraction == 0.5 && exponent == 1025 {
        return f64::MAX;
    }
    times_power_of_two(fraction, exponent)
}

/// `fraction`, which lies in 0.5..1, times 2^`exponent`, rounded once.
fn times_power_of_two(fraction: f64, exponent: i64) -> f64 {
    const FRACTION: u64 = (1 << 52) - 1;
    /// Exponent bits of doubles in 0.5..1.
    const HALF: i64 = 1022;
    /// Far enough to lift every subnormal among the normal ones.
    const LIFT: i64 = 60;
    let with_exponent = |bits: u64| f64::from_bits(fraction.to_bits() & FRACTION | bits << 52);
    match exponent + HALF {
        bits if bits > 2046 => f64::INFINITY,
        bits if bits > 0 => with_exponent(bits.cast_unsigned()),
        bits if bits > -LIFT => {
            let lowered = f64::from_bits((1023 - LIFT).cast_unsigned() << 52);
            with_exponent((bits + LIFT).cast_unsigned()) * lowered
        }
        _ => 0.0,
    }
}
