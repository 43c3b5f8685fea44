//! Exports that people really have, and what is wrong with others.

use super::*;

fn form() -> Form {
    Form {
        destination: "ga4".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        counts: Counts::Received,
        columns: BTreeMap::new(),
        events: BTreeMap::new(),
        event: None,
        currency: None,
        sums: false,
        decimal_comma: false,
        comma_groups: false,
        day_format: None,
        skips_totals: false,
    }
}

fn read(text: &str, form: &Form) -> Result<Vec<String>, Vec<String>> {
    let now = DateTime::from_timestamp(0, 0).expect("a time");
    let shown = |one: NewReport| {
        let (value, currency) = (one.value.map(|v| v.to_string()), one.currency);
        let ids = one.ids.map(|ids| {
            ids.into_iter()
                .map(|(id, n)| format!("{id}×{n}"))
                .collect::<Vec<_>>()
                .join(" ")
        });
        format!(
            "{} {} {} {} {} {}",
            one.day,
            one.event_name,
            one.conversions,
            value.unwrap_or_default(),
            currency.unwrap_or_default(),
            ids.unwrap_or_default()
        )
        .trim_end()
        .to_owned()
    };
    let read = parse(text.as_bytes(), form, now).map_err(|bad| bad.0)?;
    Ok(read.into_iter().map(shown).collect())
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(one, other)| ((*one).to_owned(), (*other).to_owned()))
        .collect()
}

#[test]
fn our_own_columns() {
    let text = "day,event_name,conversions,value,currency\n2026-11-24,order_paid,12.5,1299.90,EUR\n2026-11-25,order_paid,3,,\n";
    assert_eq!(
        read(text, &form()),
        Ok(vec![
            "2026-11-24 order_paid 12.50 1299.90 EUR".to_owned(),
            "2026-11-25 order_paid 3".to_owned()
        ])
    );
}

#[test]
fn an_export_of_another_shape() {
    let text = "\u{feff}Date;Event;Campaign;Conversions;Value\r\n20261124;Purchase;\"a; \"\"b\"\"\r\nc\";1.000,5;\"1.234,50\"\r\n\r\n20261124;Purchase;d;1;0,5\r\n";
    let form = Form {
        columns: pairs(&[
            ("day", "Date"),
            ("event_name", "Event"),
            ("conversions", "Conversions"),
            ("value", "Value"),
        ]),
        events: pairs(&[("Purchase", "order_paid")]),
        currency: Some("eur".to_owned()),
        sums: true,
        decimal_comma: true,
        ..form()
    };
    assert_eq!(
        read(text, &form),
        Ok(vec!["2026-11-24 order_paid 1001.50 1235 EUR".to_owned()])
    );
    let once = Form {
        sums: false,
        ..form
    };
    let faults = read(text, &once).expect_err("two lines of one day");
    assert_eq!(
        faults,
        ["line 5: the same day and event as line 2; --sum adds such lines up"]
    );
}

#[test]
fn numbers_with_a_comma_are_read_strictly() {
    let form = Form {
        decimal_comma: true,
        ..form()
    };
    let value = |written: &str| {
        let text = format!(
            "day;event_name;conversions;value;currency\n2026-11-24;order_paid;1;{written};EUR\n"
        );
        read(&text, &form)
    };
    for (written, is_read) in [
        ("1.234,50", "1234.50"),
        ("12,5", "12.50"),
        ("1234", "1234"),
        ("1.234.567", "1234567"),
    ] {
        assert_eq!(
            value(written),
            Ok(vec![format!("2026-11-24 order_paid 1 {is_read} EUR")]),
            "{written}"
        );
    }
    for written in [
        "12.5",
        "1.234.5,00",
        "1,2,3",
        "1,234.50",
        ".5",
        "1234.567",
        "5,",
        "1..234",
    ] {
        assert!(value(written).is_err(), "{written}");
    }
}

/// A title, the range, a header further down, tabs, UTF-16, thousands, dashes for nothing, days of another form, totals.
#[test]
fn an_export_as_platforms_write_it() {
    let text = "Conversion report\n\"November 1, 2026 - November 30, 2026\"\n\n\
        Start Date (in UTC)\tCampaign\tConversions\tConv. value\n\
        11/25/2026\ta\t1,234.50\t\"12,000.25\"\n\
        11/25/2026\tb\t1\t--\n\
        11/26/2026\ta\t2\t10\n\
        --\t\t1,237.50\t12,010.25\nTotal: account\t\t1,237.50\t12,010.25\n";
    let form = Form {
        columns: pairs(&[
            ("day", "Start Date (in UTC)"),
            ("conversions", "Conversions"),
            ("value", "Conv. value"),
        ]),
        event: Some("order_paid".to_owned()),
        currency: Some("EUR".to_owned()),
        sums: true,
        comma_groups: true,
        day_format: Some("%m/%d/%Y".to_owned()),
        skips_totals: true,
        ..form()
    };
    let days = |bytes: &[u8], form: &Form| {
        let read = parse(bytes, form, DateTime::default()).map_err(|bad| bad.0)?;
        Ok::<_, Vec<String>>(
            read.iter()
                .map(|one| format!("{} {} {:?}", one.day, one.conversions, one.currency))
                .collect::<Vec<_>>(),
        )
    };
    let units = |to: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let marked = format!("\u{feff}{text}");
        marked.encode_utf16().flat_map(to).collect()
    };
    let little = units(u16::to_le_bytes);
    for bytes in [text.as_bytes(), &little, &units(u16::to_be_bytes)] {
        let read = [
            r#"2026-11-25 1235.50 Some("EUR")"#,
            r#"2026-11-26 2 Some("EUR")"#,
        ];
        assert_eq!(days(bytes, &form), Ok(read.map(str::to_owned).to_vec()));
    }
    for (bytes, told) in [
        (
            &little[..little.len() - 1],
            "it is neither UTF-8 nor UTF-16",
        ),
        (
            b"day,event_name\n2026-11-24,Best\xe4tigt\n",
            "it is neither",
        ),
    ] {
        let faults = days(bytes, &form).expect_err("no text");
        assert!(faults[0].starts_with(told), "{faults:?}");
    }
    let strict = Form {
        skips_totals: false,
        ..form.clone()
    };
    let faults = days(&little, &strict).expect_err("totals");
    assert!(
        faults.len() == 2
            && faults[0]
                .starts_with("line 8: day must be written as --day-format says; --skip-totals"),
        "{faults:?}"
    );
    let unnamed = Form {
        columns: BTreeMap::new(),
        ..form
    };
    let faults = days(&little, &unnamed).expect_err("no column");
    assert!(
        faults[0].starts_with("line 4: there is no column day; the file has Start Date (in UTC)"),
        "{faults:?}"
    );
}

#[test]
fn lines_of_ids() {
    let text =
        "day,id,value,currency\n2026-11-24,o-1,1,EUR\n2026-11-24,o-2,2,EUR\n2026-11-24,o-1,1,EUR\n";
    let form = Form {
        event: Some("order_paid".to_owned()),
        ..form()
    };
    assert_eq!(
        read(text, &form),
        Ok(vec!["2026-11-24 order_paid 3 4 EUR o-1×2 o-2×1".to_owned()])
    );
}

#[test]
fn every_faulty_line_is_named_and_no_address_is_shown() {
    let text = "day,event_name,conversions,value,currency,id\n\
        24.11.2026,order_paid,1,,,\n\
        2026-02-30,order_paid,1,,,\n\
        2026-11-24,,1,,,\n\
        2026-11-24,order_paid,\"1,000\",,,\n\
        2026-11-24,order_paid,-1,,,\n\
        2026-11-24,order_paid,1,5,,\n\
        2026-11-24,order_paid,1,5,EURO,\n\
        2026-11-24,order_paid,1,,,ada@example.com\n\
        2026-11-24,order_paid\n\
        2026-11-24,order_paid,NaN,,,\n";
    let faults = read(text, &form()).expect_err("faulty");
    assert_eq!(faults.len(), 10);
    for (line, fault) in (2..).zip(&faults) {
        assert!(fault.starts_with(&format!("line {line}: ")), "{fault}");
        assert!(!fault.contains("ada"), "{fault}");
    }
    for (text, expected) in [
        ("", "the file is empty"),
        (
            "day,event_name,conversions\n",
            "there is no line below the header",
        ),
        (
            "date,event_name,conversions\n",
            "line 1: there is no column day",
        ),
        (
            "day,day,event_name,conversions\n",
            "line 1: two columns are called \"day\"",
        ),
        (
            "day,event_name,conversions\n2026-11-24,\"a",
            "line 2: a quote that is never closed",
        ),
        (
            "day,event_name,conversions\n2026-11-24,\"a\"b,1",
            "line 2: text after a closing quote",
        ),
        (
            "day,event_name,conversions\n2026-11-24,a\"b,1",
            "line 2: a quote in the middle",
        ),
    ] {
        let faults = read(text, &form()).expect_err(text);
        assert!(faults[0].starts_with(expected), "{faults:?}");
    }
}
