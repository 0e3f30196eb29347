//! Labels as the sinks write them.

use tsdb_reader::Labels;
use tsdb_reader::labels::METRIC_NAME;

use crate::text::json;

/// The JSON object of all labels but the metric name.
pub(crate) fn labels_json(labels: &Labels) -> String {
    let mut json = Vec::new();
    push_labels(&mut json, labels);
    // What is written there is UTF-8.
    String::from_utf8(json).unwrap_or_default()
}

/// Appends the JSON object of all labels but the metric name. Returns how many names and values of the label set,
/// the metric name among them, were not UTF-8.
pub(super) fn push_labels(out: &mut Vec<u8>, labels: &Labels) -> u64 {
    let mut replaced = 0;
    out.push(b'{');
    let mut comma = false;
    for (name, value) in labels.iter() {
        if name == METRIC_NAME {
            replaced += u64::from(std::str::from_utf8(value).is_err());
            continue;
        }
        if comma {
            out.push(b',');
        }
        comma = true;
        replaced += u64::from(json::push_str(out, name));
        out.push(b':');
        replaced += u64::from(json::push_str(out, value));
    }
    out.push(b'}');
    replaced
}
