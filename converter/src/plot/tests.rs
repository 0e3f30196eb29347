use std::path::Path;

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/blocks").join(name)
}

fn plot_of(name: &str, selector: &str, resolution: &str) -> Result<Plot, PlotError> {
    let options = PlotOptions {
        sources: vec![fixture(name)],
        read: ReadOptions::new(64 << 20, std::env::temp_dir()),
        selectors: vec![selector.into()],
        resolution: resolution.parse().unwrap(),
        memory_limit: 64 << 20,
    };
    plot(&options, &mut Findings::default())
}

fn picture_as_svg(name: &str, samples: &[(i64, f64)], resolution: &str) -> String {
    let labels: Labels = [(&b"__name__"[..], name.as_bytes())].into_iter().collect();
    let floats = FloatColumns {
        times_ms: samples.iter().map(|&(time_ms, _)| time_ms).collect(),
        values: samples.iter().map(|&(_, value)| value).collect(),
        ..FloatColumns::default()
    };
    let svg = draw(&picture_of(&labels, &floats, resolution.parse().unwrap()).unwrap()).unwrap();
    assert_is_xml(&svg);
    svg
}

/// Elements are closed in order, attributes are quoted, and nothing stands bare.
fn assert_is_xml(text: &str) {
    let mut open = Vec::new();
    let (mut elements, mut rest) = (0, text);
    while let Some((before, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').unwrap();
        assert!(
            !before.contains('>') && before.split('&').skip(1).all(|entity| entity.contains(';')),
            "{before}"
        );
        assert!(text.chars().all(|character| !character.is_control() || character == '\n'));
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None => {
                assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
                elements += 1;
                let name = tag.split_whitespace().next().unwrap();
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
        }
        rest = after;
    }
    assert!(open.is_empty() && elements > 10, "{open:?}");
    assert!(!text.contains("NaN") && !text.contains("inf,"), "{text}");
}

#[test]
fn a_gauge_has_its_samples_a_band_the_mean_and_the_last_value() {
    let samples: Vec<_> = (0..480).map(|at| (at * 15_000, (at as f64 / 20.0).sin())).collect();
    let svg = picture_as_svg("temperature", &samples, "5m");
    for text in [
        "{__name__=&quot;temperature&quot;}",
        "samples: 480, windows of 5m: 24",
        "min to max",
        "samples",
        "avg",
        "last",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(svg.contains("<polygon"));
    assert!(svg.matches("<polyline").count() >= 3);
    assert!(svg.len() < 50_000, "{}", svg.len());
}

#[test]
fn a_counter_has_its_rate() {
    let samples: Vec<_> = (0..480).map(|at| (at * 15_000, (at % 100) as f64 * 30.0)).collect();
    let svg = picture_as_svg("requests_total", &samples, "5m");
    for text in ["rate between samples", "increase in 5m, per second"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("min to max"));
}

#[test]
fn nan_and_stale_markers_and_gaps_only_end_lines() {
    let nan = AggregateColumns::NULL;
    for name in ["gauge", "counter_total"] {
        for values in [
            [nan; 6],
            [1.0; 6],
            [1.0, nan, 2.0, f64::NAN, f64::INFINITY, 3.0],
            [f64::MAX, f64::MIN, 0.0, nan, 5e-324, 1.0],
        ] {
            for gap_ms in [1, 15_000, 900_000, i64::MAX / 8] {
                let samples: Vec<_> =
                    values.iter().enumerate().map(|(at, &value)| (gap_ms * at as i64, value)).collect();
                for resolution in ["1ms", "5m", "1d"] {
                    picture_as_svg(name, &samples, resolution);
                }
            }
        }
        for time_ms in [i64::MIN, -1, 0, i64::MAX] {
            let svg = picture_as_svg(name, &[(time_ms, 7.0)], "5m");
            assert!(svg.contains("samples: 1, windows of 5m: 1"));
        }
        picture_as_svg(name, &[], "5m");
    }
}

#[test]
fn a_sample_without_neighbours_is_a_dot() {
    assert!(picture_as_svg("gauge", &[(0, 1.0), (900_000, 2.0)], "5m").contains("<circle"));
}

#[test]
fn names_that_xml_cannot_say_are_replaced() {
    let svg = picture_as_svg("a<b>&\"\u{0}\u{ffff}", &[(0, 1.0)], "5m");
    assert!(svg.contains("a&lt;b&gt;&amp;"));
}

#[test]
fn the_one_series_of_a_block_is_drawn() {
    let drawn = plot_of("chunk_120", "{__name__!=\"\"}", "5m").unwrap();
    assert_is_xml(&drawn.svg);
    assert!(drawn.samples >= 120 && drawn.windows > 0, "{} {}", drawn.samples, drawn.windows);
}

#[test]
fn no_series_and_many_series_are_refused() {
    let none = plot_of("chunk_120", "nothing_like_it", "5m").unwrap_err();
    assert!(matches!(none, PlotError::NoSeries), "{none}");
    let many = plot_of("many_series", "{__name__!=\"\"}", "5m").unwrap_err().to_string();
    assert!(many.starts_with("more than one series is selected, among them {__name__="), "{many}");
    let histograms = plot_of("histogram_alternating", "{__name__!=\"\"}", "5m").unwrap_err();
    assert!(!matches!(histograms, PlotError::NoSeries), "{histograms}");
}
