//! Output order as bytes: keys that compare with `memcmp` as label sets do.
//!
//! ```text
//! metric order   │ 00 │ pairs…                no metric name: first
//!                │ 01 │ metric 00 01 │ pairs… │
//! pair           │ name 00 01 │ value 00 01 │  a 00 byte inside is written 00 ff
//! ```
//! The terminator `00 01` sorts below every continuation of a string, so a prefix is the smaller; a label set
//! that is a prefix of another one is the shorter key. Within one metric the order is the label order of the
//! index, `__name__` in its place.

use tsdb_reader::Labels;

/// Which order series come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Label order alone, as Prometheus sorts series.
    Labels,
    /// Metric name first (none before all), then label order: the order of output tables.
    Metric,
}

impl Order {
    /// Writes the key of `labels` into `key`.
    pub fn key(self, labels: &Labels, key: &mut Vec<u8>) {
        key.clear();
        if self == Self::Metric {
            match labels.metric() {
                None => key.push(0),
                Some(metric) => {
                    key.push(1);
                    push_string(metric, key);
                }
            }
        }
        for (name, value) in labels.iter() {
            push_string(name, key);
            push_string(value, key);
        }
    }
}

fn push_string(string: &[u8], key: &mut Vec<u8>) {
    let mut rest = string;
    while let Some(zero) = rest.iter().position(|&byte| byte == 0) {
        let (head, tail) = rest.split_at(zero);
        key.extend_from_slice(head);
        key.extend_from_slice(&[0, 0xff]);
        rest = tail.get(1..).unwrap_or_default();
    }
    key.extend_from_slice(rest);
    key.extend_from_slice(&[0, 1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(order: Order, pairs: &[(&str, &str)]) -> Vec<u8> {
        let labels = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let mut key = Vec::new();
        order.key(&labels, &mut key);
        key
    }

    #[test]
    fn keys_order_as_label_sets_do() {
        let sets: &[&[(&str, &str)]] = &[
            &[],
            &[("A", "1"), ("__name__", "b")],
            &[("__name__", "a")],
            &[("__name__", "a"), ("job", "x")],
            &[("__name__", "a"), ("job", "x\0")],
            &[("__name__", "a"), ("job", "x\0\0")],
            &[("__name__", "a"), ("job", "x\u{1}")],
            &[("__name__", "a\0")],
            &[("__name__", "ab")],
            &[("job", "x")],
        ];
        let keys: Vec<_> = sets.iter().map(|pairs| key(Order::Labels, pairs)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn metric_order_puts_series_without_a_metric_first_and_the_metric_before_other_labels() {
        let sets: &[&[(&str, &str)]] = &[
            &[("A", "9")],
            &[("job", "x")],
            &[("A", "1"), ("__name__", "a")],
            &[("__name__", "a")],
            &[("__name__", "a"), ("job", "x")],
            &[("A", "0"), ("__name__", "b")],
        ];
        let keys: Vec<_> = sets.iter().map(|pairs| key(Order::Metric, pairs)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
    }
}
