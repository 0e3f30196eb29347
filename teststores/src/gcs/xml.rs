//! Bodies of requests and answers.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::bucket::Page;

const HEAD: &str = "<?xml version='1.0' encoding='UTF-8'?>";

pub fn listed(bucket: &str, prefix: &str, page: &Page<'_>) -> String {
    let mut text = format!(
        "{HEAD}<ListBucketResult><Name>{bucket}</Name><Prefix>{}</Prefix><IsTruncated>{}</IsTruncated>",
        escape(prefix),
        page.next.is_some()
    );
    // Writing to a string cannot fail.
    if let Some(next) = page.next {
        let _ = write!(text, "<NextContinuationToken>{}</NextContinuationToken>", escape(next));
    }
    for (key, object) in &page.objects {
        let _ = write!(
            text,
            "<Contents><Key>{}</Key><Generation>{}</Generation><LastModified>{}</LastModified><ETag>{}</ETag>\
             <Size>{}</Size></Contents>",
            escape(key),
            object.generation,
            iso(object.modified),
            escape(&object.e_tag),
            object.bytes.len()
        );
    }
    for prefix in &page.prefixes {
        let _ = write!(text, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escape(prefix));
    }
    text.push_str("</ListBucketResult>");
    text
}

pub fn copied(e_tag: &str, modified: Timestamp) -> String {
    let (e_tag, modified) = (escape(e_tag), iso(modified));
    format!(
        "{HEAD}<CopyObjectResult><LastModified>{modified}</LastModified><ETag>{e_tag}</ETag></CopyObjectResult>"
    )
}

pub fn initiated(bucket: &str, key: &str, id: &str) -> String {
    format!(
        "{HEAD}<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{}</Key><UploadId>{id}</UploadId>\
         </InitiateMultipartUploadResult>",
        escape(key)
    )
}

pub fn completed(bucket: &str, key: &str, e_tag: &str) -> String {
    format!(
        "{HEAD}<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{}</Key><ETag>{}</ETag>\
         </CompleteMultipartUploadResult>",
        escape(key),
        escape(e_tag)
    )
}

/// Number and ETag of the parts that an upload is completed with.
pub fn parts(text: &str) -> Vec<(u64, String)> {
    let part = |part: &str| {
        let number = element(part, "PartNumber")?.parse().ok()?;
        Some((number, unescape(element(part, "ETag")?)))
    };
    text.split("<Part>").filter_map(part).collect()
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    Some(after.split_once(&format!("</{name}>"))?.0)
}

fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_in_any_order_of_their_fields() {
        let text = "<CompleteMultipartUpload><Part><ETag>\"a\"</ETag><PartNumber>1</PartNumber></Part>\
                    <Part><PartNumber>2</PartNumber><ETag>&quot;b&quot;</ETag></Part></CompleteMultipartUpload>";
        assert_eq!(parts(text), [(1, "\"a\"".into()), (2, "\"b\"".into())]);
    }

    #[test]
    fn what_is_escaped_comes_back() {
        for text in ["a&b", "<\"&lt;\">", "&amp;quot;", ""] {
            assert_eq!(unescape(&escape(text)), text);
        }
    }
}
