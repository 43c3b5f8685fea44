//! Text of a file, and its records: what programs write as CSV. Pure.

/// Fields, and the number of the line that the first of them stands on.
pub(super) type Record = (usize, Vec<String>);

/// The text of a file: UTF-8, or UTF-16 with its mark, as spreadsheets save it. `None` for anything else.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let units = |of: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes[2..].as_chunks::<2>();
        let text = String::from_utf16(&pairs.iter().map(|pair| of(*pair)).collect::<Vec<_>>());
        text.ok().filter(|_| rest.is_empty())
    };
    match bytes {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// What divides fields, the likeliest first: semicolons or tabs where the text has those and no comma before them.
pub(super) fn dividers(text: &str) -> [char; 3] {
    let first = text.find([',', ';', '\t']).map_or("", |at| &text[at..]);
    match first.chars().next() {
        Some(';') => [';', '\t', ','],
        Some('\t') => ['\t', ';', ','],
        _ => [',', ';', '\t'],
    }
}

/// Fields of each record, with the number of the line it begins on, as RFC 4180 has it but for the divider.
pub(super) fn records(text: &str, divider: char) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    let (mut line, mut begun) = (1, 1);
    let (mut fields, mut field) = (Vec::new(), String::new());
    let (mut is_quoted, mut was_quoted) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\n' {
            line += 1;
        }
        match char {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if is_quoted => (is_quoted, was_quoted) = (false, true),
            other if is_quoted => field.push(other),
            '"' if field.is_empty() && !was_quoted => is_quoted = true,
            '"' => return Err(format!("line {line}: a quote in the middle of a field")),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                fields.push(std::mem::take(&mut field));
                records.push((begun, std::mem::take(&mut fields)));
                (begun, was_quoted) = (line, false);
            }
            other if other == divider => {
                fields.push(std::mem::take(&mut field));
                was_quoted = false;
            }
            _ if was_quoted => return Err(format!("line {line}: text after a closing quote")),
            other => field.push(other),
        }
    }
    if is_quoted {
        return Err(format!("line {begun}: a quote that is never closed"));
    }
    if !field.is_empty() || was_quoted || !fields.is_empty() {
        fields.push(field);
        records.push((begun, fields));
    }
    records.retain(|(_, fields)| fields.iter().any(|field| !field.is_empty()));
    Ok(records)
}
