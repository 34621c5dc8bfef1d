//! A page of the answer to List Blobs.

use percent_encoding::percent_decode_str;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::model::value::Timestamp;

/// What a listing says of a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: String,
    /// Without quotation marks.
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<Timestamp>,
    metadata: Vec<(String, String)>,
}

/// Blobs, and where the next page begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    pub(super) next: Option<String>,
}

impl Item {
    /// A piece of metadata. Its name is in any case: headers know none.
    pub(super) fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether it is a directory, which accounts with a hierarchy list among blobs.
    pub(super) fn is_directory(&self) -> bool {
        self.metadata("hdi_isfolder").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

impl Page {
    /// Reads a page, or says why it is none.
    pub(super) fn parse(xml: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(xml).map_err(|_| "it is not UTF-8".to_owned())?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let (mut page, mut path, mut content) = (Page::default(), Vec::new(), String::new());
        let (mut is_encoded, mut is_listing) = (false, false);
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => {
                    content.clear();
                    is_encoded = has_encoded_name(&start);
                    path.push(start.local_name().as_ref().to_owned());
                    page.begin(&path)?;
                    is_listing = true;
                }
                Event::Empty(start) => {
                    path.push(start.local_name().as_ref().to_owned());
                    page.begin(&path)?;
                    is_listing = true;
                    page.end(&path, String::new());
                    path.pop();
                }
                Event::Text(text) => content.push_str(&text.into_inner()),
                Event::CData(text) => content.push_str(&text.into_inner()),
                Event::GeneralRef(reference) => {
                    let name: &str = &reference.borrow().into_inner();
                    match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                        Some(c) => content.push(c),
                        None => content.push_str(
                            quick_xml::escape::resolve_xml_entity(name)
                                .ok_or_else(|| "it holds an unknown entity".to_owned())?,
                        ),
                    }
                }
                Event::End(_) => {
                    let mut content = std::mem::take(&mut content);
                    if is_encoded {
                        content = percent_decode_str(&content).decode_utf8_lossy().into_owned();
                        is_encoded = false;
                    }
                    page.end(&path, content);
                    path.pop();
                }
                // An answer of something else must not look like a group without checkpoints.
                Event::Eof if !is_listing => return Err("it is no XML".to_owned()),
                Event::Eof if path.is_empty() => return Ok(page),
                Event::Eof => return Err("its end is missing".to_owned()),
                _ => {}
            }
        }
    }

    fn begin(&mut self, path: &[String]) -> Result<(), String> {
        match names(path)[..] {
            [root] if root != "EnumerationResults" => {
                Err(format!("it begins with '{}'", crate::error::shown(root, 40)))
            }
            ["EnumerationResults", "Blobs", "Blob"] => {
                self.items.push(Item::default());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, path: &[String], content: String) {
        match (names(path)[..].strip_prefix(&["EnumerationResults"]), self.items.last_mut()) {
            (Some(["NextMarker"]), _) if !content.is_empty() => self.next = Some(content),
            (Some(["Blobs", "Blob", "Name"]), Some(item)) => item.name = content,
            (Some(["Blobs", "Blob", "Properties", "Etag"]), Some(item)) => {
                item.etag = Some(unquoted(&content).to_owned());
            }
            (Some(["Blobs", "Blob", "Properties", "Last-Modified"]), Some(item)) => {
                item.last_modified = http_time(&content);
            }
            (Some(["Blobs", "Blob", "Metadata", name]), Some(item)) => {
                item.metadata.push(((*name).to_owned(), content));
            }
            _ => {}
        }
    }
}

/// An etag as records have it: some answers quote it, some do not.
pub(super) fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag)
}

pub(super) fn http_time(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text.trim()).ok().map(Timestamp::from)
}

fn names(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// Names that XML cannot hold come percent-encoded, and say so.
fn has_encoded_name(start: &BytesStart<'_>) -> bool {
    let encoded = start.try_get_attribute("Encoded").ok().flatten();
    encoded.is_some_and(|attribute| attribute.value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const XML: &str = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\
        <EnumerationResults ServiceEndpoint=\"https://c.blob.core.windows.net/\" ContainerName=\"groups\">\
        <Prefix>n/h/g/ownership/</Prefix><Blobs>\
        <Blob><Name>n/h/a&amp;b&#x41;/ownership/0</Name><Properties><Last-Modified>Sat, 21 Nov 2026 19:02:50 GMT</Last-Modified>\
        <Etag>0x8D1</Etag><Content-Length>0</Content-Length></Properties>\
        <Metadata><OwnerId>me &lt;1&gt;</OwnerId><Empty /></Metadata><OrMetadata /></Blob>\
        <Blob><Name Encoded=\"true\">n/h/%EF%BF%BE</Name><Properties><Etag>\"0x8D2\"</Etag></Properties><Metadata/></Blob>\
        </Blobs><NextMarker>2!76!more</NextMarker></EnumerationResults>";

    #[test]
    fn a_page_is_read() {
        let page = Page::parse(XML.as_bytes()).unwrap();
        assert_eq!(page.next.as_deref(), Some("2!76!more"));
        let [first, second] = &page.items[..] else { panic!("{page:?}") };
        assert_eq!((first.name.as_str(), first.etag.as_deref()), ("n/h/a&bA/ownership/0", Some("0x8D1")));
        assert_eq!(first.last_modified, Some(Timestamp::from_millis(1_795_287_770_000)));
        assert_eq!(first.metadata("ownerid"), Some("me <1>"));
        assert_eq!((first.metadata("empty"), first.metadata("offset")), (Some(""), None));
        assert_eq!((second.name.as_str(), second.etag.as_deref()), ("n/h/\u{fffe}", Some("0x8D2")));
    }

    #[test]
    fn what_is_no_listing_is_said_to_be_none() {
        for (xml, why) in [
            ("", "no XML"),
            ("not found", "no XML"),
            ("<html><body>Sign in</body></html>", "'html'"),
            ("<EnumerationResults><Blobs>", "end"),
            ("<EnumerationResults></Blobs>", ""),
            ("<EnumerationResults>&nbsp;</EnumerationResults>", "entity"),
        ] {
            let said = Page::parse(xml.as_bytes()).expect_err(xml);
            assert!(said.contains(why), "{xml}: {said}");
        }
        assert!(Page::parse(&[0xff, 0xfe]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, cut in 0..XML.len(), flip in 0..XML.len(), with: u8) {
            let _ = Page::parse(&bytes);
            let _ = Page::parse(&XML.as_bytes()[..cut]);
            let mut spoiled = XML.as_bytes().to_vec();
            spoiled[flip] = with;
            let _ = Page::parse(&spoiled);
        }
    }
}
