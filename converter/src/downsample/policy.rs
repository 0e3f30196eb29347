//! Policy: what becomes of a series in a partition.

use tsdb_reader::Labels;
use tsdb_reader::matcher::{Matcher, SelectorError, parse_matchers};

use super::{AggregateSet, DownsampleOptions, RuleAction, Steps};
use crate::metadata::Metadata;
use crate::resolution::Resolution;

/// Suffixes of names that counters have.
const COUNTER_SUFFIXES: [&[u8]; 4] = [b"_total", b"_count", b"_sum", b"_bucket"];

/// What becomes of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Treatment {
    /// Number of the rule that decided, if one did.
    pub rule: Option<usize>,
    /// Resolution of its rows; none when a rule drops it.
    pub resolution: Option<Resolution>,
    /// Of windows, these aggregates are written besides the count.
    pub aggregates: AggregateSet,
    /// How its steps are counted; none unless it is a counter whose increase is asked for.
    pub steps: Option<Steps>,
    /// What it has in downsampled blocks keeps its resolution; the others are the rows of `resolution`.
    pub is_as_is: bool,
}

impl Treatment {
    /// Raw rows, without any rule.
    pub const RAW: Self = Self {
        rule: None,
        resolution: Some(Resolution::RAW),
        aggregates: AggregateSet::ALL,
        steps: None,
        is_as_is: false,
    };

    /// The resolution of its windows, when windows are to be made of it.
    pub fn windows(self) -> Option<Resolution> {
        self.resolution.filter(|resolution| !resolution.is_raw())
    }

    /// True when windows are to be made of it.
    pub fn is_windows(self) -> bool {
        self.windows().is_some()
    }
}

#[derive(Debug)]
struct PolicyRule {
    selector: String,
    matchers: Vec<Matcher>,
    action: RuleAction,
}

/// Options of downsampling, ready to be asked about series.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<PolicyRule>,
    counters: Vec<Vec<Matcher>>,
    steps: Steps,
    as_is: bool,
}

/// A selector that does not parse, as given.
#[derive(Debug, thiserror::Error)]
#[error("{place} {selector}")]
pub struct PolicyError {
    /// Where it was given.
    place: &'static str,
    /// As given.
    selector: String,
    /// Where and why.
    source: SelectorError,
}

impl Policy {
    /// Parses the selectors of `options`.
    pub fn new(options: &DownsampleOptions) -> Result<Self, PolicyError> {
        let parse = |place, selector: &String| {
            parse_matchers(selector).map_err(|source| PolicyError {
                place,
                selector: selector.clone(),
                source,
            })
        };
        let rule = |rule: &super::Rule| {
            let matchers = parse("--rule: match", &rule.selector)?;
            Ok(PolicyRule { selector: rule.selector.clone(), matchers, action: rule.action.clone() })
        };
        Ok(Self {
            rules: options.rules.iter().map(rule).collect::<Result<_, _>>()?,
            counters: options
                .counters
                .iter()
                .map(|selector| parse("--counter", selector))
                .collect::<Result<_, _>>()?,
            steps: Steps { lookback_ms: options.lookback_ms },
            as_is: options.as_is,
        })
    }

    /// The selector of a rule.
    pub fn selector(&self, rule: usize) -> &str {
        self.rules.get(rule).map_or("", |rule| &rule.selector)
    }

    /// What becomes of a series where the tier has `resolution`.
    pub fn treatment(&self, labels: &Labels, resolution: Resolution, metadata: &Metadata) -> Treatment {
        let decides = |rule: &PolicyRule| matches(&rule.matchers, labels);
        let rule = self.rules.iter().position(decides);
        let action = rule.and_then(|rule| self.rules.get(rule)).map(|rule| &rule.action);
        let is_as_is = self.as_is && resolution.is_raw();
        let (resolution, aggregates, is_as_is) = match action {
            None => (Some(resolution), AggregateSet::ALL, is_as_is),
            Some(RuleAction::Drop) => (None, AggregateSet::NONE, false),
            Some(RuleAction::Keep { resolution: own, aggregates }) => {
                let aggregates =
                    aggregates.as_ref().map_or(AggregateSet::ALL, |some| some.iter().copied().collect());
                (Some(own.unwrap_or(resolution)), aggregates, is_as_is && own.is_none())
            }
        };
        let treatment = Treatment { rule, resolution, aggregates, steps: None, is_as_is };
        let is_counter = || self.is_counter(labels, metadata);
        let may_be_windows = treatment.is_windows() || is_as_is;
        Treatment { steps: (may_be_windows && is_counter()).then_some(self.steps), ..treatment }
    }

    /// Whether a series is a counter: by its metadata, else by its name, else because it was said.
    fn is_counter(&self, labels: &Labels, metadata: &Metadata) -> bool {
        let name = labels.metric().unwrap_or_default();
        let has = |suffixes: &[&[u8]]| suffixes.iter().any(|suffix| name.ends_with(suffix));
        match metadata.of_series(labels).metric_type {
            Some(b"counter") => true,
            // Of these the metadata is that of the base, whose own series are no counters.
            Some(b"histogram") => has(&[b"_count", b"_sum", b"_bucket"]),
            Some(b"summary") => has(&[b"_count", b"_sum"]),
            Some(b"gauge" | b"gaugehistogram" | b"info" | b"stateset") => false,
            _ => has(&COUNTER_SUFFIXES) || self.counters.iter().any(|counter| matches(counter, labels)),
        }
    }
}

fn matches(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::downsample::{Aggregate, Rule};
    use crate::metadata::MetricMetadata;

    fn labels(name: &str, job: &str) -> Labels {
        [(&b"__name__"[..], name.as_bytes()), (b"job", job.as_bytes())].into_iter().collect()
    }

    fn five_minutes() -> Resolution {
        "5m".parse().unwrap()
    }

    #[test]
    fn counters_are_known_by_metadata_then_by_name_then_because_it_was_said() {
        let options = DownsampleOptions {
            counters: vec![r#"{job="odd"}"#.into()],
            ..DownsampleOptions::at(five_minutes())
        };
        let policy = Policy::new(&options).unwrap();
        let mut metadata = Metadata::default();
        for (name, metric_type) in [
            ("queue_total", "gauge"),
            ("ticks", "counter"),
            ("latency", "histogram"),
            ("size", "summary"),
            ("odd_gauge", "gauge"),
            ("nothing", "unknown"),
        ] {
            let known = MetricMetadata { metric_type: metric_type.into(), ..MetricMetadata::default() };
            metadata.set_metric(name.as_bytes(), known);
        }
        for (name, job, expected) in [
            ("ticks", "a", true),
            ("queue_total", "a", false),
            ("http_requests_total", "a", true),
            ("latency_bucket", "a", true),
            ("latency_sum", "a", true),
            ("latency", "a", false),
            ("size", "a", false),
            ("size_count", "a", true),
            ("temperature", "a", false),
            ("temperature", "odd", true),
            ("odd_gauge", "odd", false),
            ("nothing", "a", false),
            ("nothing", "odd", true),
        ] {
            let treatment = policy.treatment(&labels(name, job), five_minutes(), &metadata);
            assert_eq!(treatment.steps.is_some(), expected, "{name} of {job}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let keep = |resolution: Option<&str>, aggregates: Option<&[Aggregate]>| RuleAction::Keep {
            resolution: resolution.map(|text| text.parse().unwrap()),
            aggregates: aggregates.map(|some| some.iter().copied().collect()),
        };
        let rule = |selector: &str, action| Rule { selector: selector.into(), action };
        let options = DownsampleOptions {
            rules: vec![
                rule(r#"{__name__=~"go_.*"}"#, RuleAction::Drop),
                rule(r#"{job=""}"#, keep(Some("raw"), None)),
                rule(r#"{job="a"}"#, keep(Some("1h"), Some(&[Aggregate::Max]))),
                rule("go_threads", keep(None, None)),
                rule(r#"{job="b"}"#, keep(None, Some(&[]))),
            ],
            ..DownsampleOptions::at(five_minutes())
        };
        let policy = Policy::new(&options).unwrap();
        let treat = |name, job| policy.treatment(&labels(name, job), five_minutes(), &Metadata::default());
        assert_eq!(
            treat("go_threads", "a"),
            Treatment { rule: Some(0), resolution: None, aggregates: AggregateSet::NONE, ..Treatment::RAW }
        );
        assert_eq!(treat("up", ""), Treatment { rule: Some(1), ..Treatment::RAW });
        let hourly = treat("up", "a");
        assert_eq!((hourly.rule, hourly.resolution.unwrap().to_string()), (Some(2), "1h".into()));
        assert_eq!(hourly.aggregates, AggregateSet::NONE.with(Aggregate::Max));
        assert_eq!(treat("up", "b").aggregates, AggregateSet::NONE);
        assert_eq!((treat("up", "c").rule, treat("up", "c").resolution), (None, Some(five_minutes())));
    }

    #[test]
    fn a_selector_that_does_not_parse_is_named() {
        let rules = vec![Rule { selector: "up{".into(), action: RuleAction::Drop }];
        let error = Policy::new(&DownsampleOptions { rules, ..DownsampleOptions::default() }).unwrap_err();
        assert_eq!(error.to_string(), "--rule: match up{");
    }
}
