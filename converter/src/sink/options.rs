//! Options that shape the output. A destination keeps one set of them.

use serde::{Deserialize, Serialize};

use super::SinkError;

/// File format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Apache Parquet.
    #[default]
    Parquet,
    /// One JSON object per line.
    Ndjson,
}

/// Where labels stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// In table `series` alone, joined by `series_id`.
    #[default]
    Star,
    /// In every row as well.
    Flat,
}

/// Parquet encodings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// PLAIN and dictionary: safe everywhere.
    #[default]
    Bigquery,
    /// DELTA_BINARY_PACKED times and BYTE_STREAM_SPLIT values: smaller and faster.
    Compact,
}

/// Compression of Parquet pages, or of whole NDJSON files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Zstandard.
    Zstd,
    /// Snappy, Parquet only.
    Snappy,
    /// Gzip, NDJSON only.
    Gzip,
    /// None.
    None,
}

impl Compression {
    /// The name of its flag value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
            Self::Gzip => "gzip",
            Self::None => "none",
        }
    }

    /// The level unless one is asked for; `None` where there are no levels.
    pub fn default_level(self) -> Option<i32> {
        match self {
            Self::Zstd => Some(1),
            // Rows are repetitive text: higher levels cost several times the time for a few percent.
            Self::Gzip => Some(1),
            Self::Snappy | Self::None => None,
        }
    }

    fn levels(self) -> Option<std::ops::RangeInclusive<i32>> {
        match self {
            Self::Zstd => Some(1..=22),
            Self::Gzip => Some(1..=9),
            Self::Snappy | Self::None => None,
        }
    }
}

/// All that shapes the output of a sink: the same rows under the same options become the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputOptions {
    /// File format.
    pub format: Format,
    /// Where labels stand.
    pub layout: Layout,
    /// Parquet encodings; NDJSON ignores it.
    pub profile: Profile,
    /// Compression.
    pub compression: Compression,
    /// Its level; `None` stands for [`Compression::default_level`].
    pub compression_level: Option<i32>,
    /// Labels with a column of their own, in this order.
    pub label_columns: Vec<String>,
    /// A file ends with the slice of rows that brings it to this size, in bytes as stored.
    pub target_file_size_bytes: u64,
}

impl OutputOptions {
    /// The defaults of a format.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            layout: Layout::default(),
            profile: Profile::default(),
            compression: match format {
                Format::Parquet => Compression::Zstd,
                Format::Ndjson => Compression::Gzip,
            },
            compression_level: None,
            label_columns: Vec::new(),
            target_file_size_bytes: 256 << 20,
        }
    }

    /// The level in effect; 0 where there are no levels.
    pub fn level(&self) -> i32 {
        self.compression_level.or(self.compression.default_level()).unwrap_or_default()
    }

    /// How file names end, without the leading dot.
    pub fn extension(&self) -> &'static str {
        match (self.format, self.compression) {
            (Format::Parquet, _) => "parquet",
            (Format::Ndjson, Compression::Gzip) => "ndjson.gz",
            (Format::Ndjson, Compression::Zstd) => "ndjson.zst",
            (Format::Ndjson, _) => "ndjson",
        }
    }

    /// Refuses what does not go together.
    pub fn validate(&self) -> Result<(), SinkError> {
        let allowed: &[Compression] = match self.format {
            Format::Parquet => &[Compression::Zstd, Compression::Snappy, Compression::None],
            Format::Ndjson => &[Compression::Gzip, Compression::None, Compression::Zstd],
        };
        if !allowed.contains(&self.compression) {
            let allowed: Vec<_> = allowed.iter().map(|compression| compression.name()).collect();
            return Err(SinkError::Compression {
                compression: self.compression.name(),
                allowed: allowed.join(", "),
            });
        }
        match (self.compression_level, self.compression.levels()) {
            (None, _) => Ok(()),
            (Some(level), Some(levels)) if levels.contains(&level) => Ok(()),
            (Some(level), levels) => {
                Err(SinkError::Level { compression: self.compression.name(), level, levels })
            }
        }
    }
}

impl Default for OutputOptions {
    fn default() -> Self {
        Self::new(Format::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_must_fit_the_format_and_level_the_compression() {
        let options = |format, compression, compression_level| OutputOptions {
            compression,
            compression_level,
            ..OutputOptions::new(format)
        };
        let error = |options: OutputOptions| options.validate().unwrap_err().to_string();
        for format in [Format::Parquet, Format::Ndjson] {
            OutputOptions::new(format).validate().unwrap();
        }
        assert_eq!(
            error(options(Format::Parquet, Compression::Gzip, None)),
            "--compression gzip does not fit this --format: choose one of zstd, snappy, none"
        );
        assert!(error(options(Format::Ndjson, Compression::Snappy, None)).contains("gzip, none, zstd"));
        assert_eq!(
            error(options(Format::Parquet, Compression::Zstd, Some(23))),
            "--compression-level 23 does not fit --compression zstd: choose 1 to 22"
        );
        assert_eq!(
            error(options(Format::Parquet, Compression::Snappy, Some(1))),
            "--compression-level 1 does not fit --compression snappy: it has no levels, remove the flag"
        );
    }

    #[test]
    fn options_round_trip_through_json() {
        let options = OutputOptions {
            layout: Layout::Flat,
            label_columns: vec!["job".into()],
            ..OutputOptions::new(Format::Ndjson)
        };
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<OutputOptions>(&json).unwrap(), options);
        assert!(
            json.contains(r#""format":"ndjson","layout":"flat","profile":"bigquery","compression":"gzip""#)
        );
    }
}
