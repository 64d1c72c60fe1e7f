//! Lists of models.

use super::json_reader::Reader;

/// The ids of a `GET /v1/models` answer, in its order. Entries without an id are left out; an answer of another shape
/// gives none.
pub fn model_ids(text: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let read = Reader::new(text).object(|key, reader| {
        if key.raw != "data" {
            return reader.skip();
        }
        reader.array(|reader| {
            reader.object(|key, reader| {
                if key.raw == "id" {
                    ids.extend(reader.string()?.map(|id| id.text().into_owned()));
                    return Ok(());
                }
                reader.skip()
            })?;
            Ok(())
        })?;
        Ok(())
    });
    if read.is_err() {
        ids.clear();
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(model_ids(text), expected, "{text}");
    }

    #[test]
    fn ids_are_read_from_any_shape() {
        check(
            r#"{"object":"list","data":[{"id":"a","object":"model"},{"x":1},{"id":5},7,{"id":"b\/c"}]}"#,
            &["a", "b/c"],
        );
        check(r#"{"data":null}"#, &[]);
        check("[]", &[]);
        check(r#"{"data":[{"id":"a"}]"#, &[]);
        check("<html>", &[]);
    }
}
