use super::*;

fn followed(replicas: &[Vec<Point>]) -> Followed {
    follow(&replicas.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn at(times_ms: &[i64]) -> Vec<Point> {
    let point = |(at, &time_ms): (usize, &i64)| Point { time_ms, total: Some(at as f64), at };
    times_ms.iter().enumerate().map(point).collect()
}

#[test]
fn a_replica_alone_is_followed_and_none_gives_nothing() {
    let alone = at(&[1, 2, 30_000]);
    assert_eq!(followed(std::slice::from_ref(&alone)).points, alone);
    assert_eq!(followed(&[at(&[]), alone.clone(), at(&[])]).points, alone);
    assert!(followed(&[]).points.is_empty());
    assert!(followed(&[at(&[]), at(&[])]).points.is_empty());
}

#[test]
fn thousands_of_replicas_are_followed_without_depth() {
    let many: Vec<_> = (0..3000).map(|replica| at(&[replica, 60_000 + replica, 120_000 + replica])).collect();
    let followed = followed(&many);
    assert_eq!(followed.points, many[0]);
    assert_eq!(followed.raised.len(), 3000);
}

#[test]
fn the_ends_of_time_do_not_overflow() {
    let ends = [at(&[i64::MIN, 0, i64::MAX]), at(&[i64::MIN + 1, i64::MAX - 1])];
    let times: Vec<_> = followed(&ends).points.iter().map(|point| point.time_ms).collect();
    assert_eq!(times, [i64::MIN, 0, i64::MAX]);
}
