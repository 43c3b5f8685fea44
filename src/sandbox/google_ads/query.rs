//! Queries of conversion actions, as far as a check of the configuration needs them:
//! `SELECT fields FROM conversion_action WHERE field = value AND field IN (values) LIMIT n`
//! (`developers.google.com/google-ads/api/docs/query/grammar`). Not for any other resource, for `ORDER BY`, `LIKE`
//! or `PARAMETERS`: these are refused.

use super::failure::Flaw;

/// A field that can be selected and filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    ResourceName,
    Id,
    Name,
    Status,
    Type,
}

impl Field {
    const ALL: [(&'static str, Field); 5] = [
        ("conversion_action.resource_name", Field::ResourceName),
        ("conversion_action.id", Field::Id),
        ("conversion_action.name", Field::Name),
        ("conversion_action.status", Field::Status),
        ("conversion_action.type", Field::Type),
    ];

    fn named(text: &str) -> Option<Field> {
        let mut all = Field::ALL.into_iter();
        all.find_map(|(name, field)| (name == text).then_some(field))
    }

    /// Its name in answers.
    pub(super) fn json_name(self) -> &'static str {
        match self {
            Field::ResourceName => "resourceName",
            Field::Id => "id",
            Field::Name => "name",
            Field::Status => "status",
            Field::Type => "type",
        }
    }
}

/// A condition: the field is, or is not, one of the values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) field: Field,
    pub(super) is_among: bool,
    pub(super) values: Vec<String>,
}

/// A query that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) selected: Vec<Field>,
    pub(super) conditions: Vec<Condition>,
    pub(super) limit: Option<usize>,
}

impl Query {
    /// Reads a query.
    pub(super) fn parse(text: &str) -> Result<Query, Flaw> {
        let mut words = Words::of(text)?;
        words
            .keyword("SELECT")
            .ok_or_else(|| wrong("EXPECTED_SELECT"))?;
        let mut selected = vec![words.field()?];
        while words.symbol(",").is_some() {
            selected.push(words.field()?);
        }
        words
            .keyword("FROM")
            .ok_or_else(|| wrong("EXPECTED_FROM"))?;
        if words.next() != Some(Word::Bare("conversion_action".to_owned())) {
            return Err(wrong("BAD_RESOURCE_TYPE_IN_FROM_CLAUSE"));
        }
        let mut conditions = Vec::new();
        if words.keyword("WHERE").is_some() {
            conditions.push(words.condition()?);
            while words.keyword("AND").is_some() {
                conditions.push(words.condition()?);
            }
        }
        let limit = match words.keyword("LIMIT") {
            Some(()) => Some(words.limit()?),
            None => None,
        };
        match words.next() {
            None => Ok(Query {
                selected,
                conditions,
                limit,
            }),
            Some(_) => Err(wrong("UNEXPECTED_INPUT")),
        }
    }
}

pub(super) fn wrong(value: &str) -> Flaw {
    Flaw::new("queryError", value)
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// A name, a keyword, a number.
    Bare(String),
    Quoted(String),
    Symbol(&'static str),
}

/// The words still to be read, the next one last.
pub(super) struct Words(Vec<Word>);

impl Words {
    pub(super) fn of(text: &str) -> Result<Words, Flaw> {
        let (mut words, mut rest) = (Vec::new(), text.trim_start());
        while let Some(first) = rest.chars().next() {
            if let Some(symbol) = ["!=", "=", "(", ")", ","]
                .into_iter()
                .find(|symbol| rest.starts_with(symbol))
            {
                words.push(Word::Symbol(symbol));
                rest = &rest[symbol.len()..];
            } else if matches!(first, '\'' | '"') {
                let (quoted, after) = rest[1..]
                    .split_once(first)
                    .ok_or_else(|| wrong("STRING_NOT_TERMINATED"))?;
                words.push(Word::Quoted(quoted.to_owned()));
                rest = after;
            } else {
                let is_inner = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '.');
                let end = rest.find(|it| !is_inner(it)).unwrap_or(rest.len());
                if end == 0 {
                    return Err(wrong("BAD_SYMBOL"));
                }
                words.push(Word::Bare(rest[..end].to_owned()));
                rest = &rest[end..];
            }
            rest = rest.trim_start();
        }
        words.reverse();
        Ok(Words(words))
    }

    pub(super) fn next(&mut self) -> Option<Word> {
        self.0.pop()
    }

    pub(super) fn keyword(&mut self, keyword: &str) -> Option<()> {
        let is_next =
            matches!(self.0.last(), Some(Word::Bare(word)) if word.eq_ignore_ascii_case(keyword));
        is_next.then(|| self.0.truncate(self.0.len() - 1))
    }

    pub(super) fn symbol(&mut self, symbol: &'static str) -> Option<()> {
        let is_next = self.0.last() == Some(&Word::Symbol(symbol));
        is_next.then(|| self.0.truncate(self.0.len() - 1))
    }

    fn field(&mut self) -> Result<Field, Flaw> {
        match self.next() {
            Some(Word::Bare(name)) => {
                Field::named(&name).ok_or_else(|| wrong("UNRECOGNIZED_FIELD"))
            }
            Some(_) => Err(wrong("BAD_FIELD_NAME")),
            None => Err(wrong("UNEXPECTED_END_OF_QUERY")),
        }
    }

    pub(super) fn value(&mut self) -> Result<String, Flaw> {
        match self.next() {
            Some(Word::Bare(text) | Word::Quoted(text)) => Ok(text),
            Some(Word::Symbol(_)) => Err(wrong("BAD_VALUE")),
            None => Err(wrong("UNEXPECTED_END_OF_QUERY")),
        }
    }

    fn condition(&mut self) -> Result<Condition, Flaw> {
        let field = self.field()?;
        let (is_among, values) = if self.symbol("=").is_some() {
            (true, vec![self.value()?])
        } else if self.symbol("!=").is_some() {
            (false, vec![self.value()?])
        } else {
            let is_among = self.keyword("NOT").is_none();
            self.keyword("IN").ok_or_else(|| wrong("BAD_OPERATOR"))?;
            (is_among, self.values()?)
        };
        Ok(Condition {
            field,
            is_among,
            values,
        })
    }

    pub(super) fn values(&mut self) -> Result<Vec<String>, Flaw> {
        self.symbol("(").ok_or_else(|| wrong("EXPECTED_LIST"))?;
        if self.symbol(")").is_some() {
            return Err(wrong("PROHIBITED_EMPTY_LIST_IN_CONDITION"));
        }
        let mut values = vec![self.value()?];
        while self.symbol(",").is_some() {
            values.push(self.value()?);
        }
        self.symbol(")").ok_or_else(|| wrong("EXPECTED_LIST"))?;
        Ok(values)
    }

    pub(super) fn limit(&mut self) -> Result<usize, Flaw> {
        match self.next() {
            Some(Word::Bare(number)) => number.parse().map_err(|_| wrong("BAD_LIMIT_VALUE")),
            _ => Err(wrong("BAD_LIMIT_VALUE")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_conversion_actions_is_understood() {
        let text = "select conversion_action.id, conversion_action.status FROM conversion_action \
            WHERE conversion_action.id IN (7, '8') AND conversion_action.status != 'REMOVED' LIMIT 10";
        let expected = Query {
            selected: vec![Field::Id, Field::Status],
            conditions: vec![
                Condition {
                    field: Field::Id,
                    is_among: true,
                    values: vec!["7".to_owned(), "8".to_owned()],
                },
                Condition {
                    field: Field::Status,
                    is_among: false,
                    values: vec!["REMOVED".to_owned()],
                },
            ],
            limit: Some(10),
        };
        assert_eq!(Query::parse(text), Ok(expected));
    }

    #[test]
    fn other_queries_get_their_errors() {
        let select = "SELECT conversion_action.id FROM conversion_action";
        for (text, expected) in [
            ("", "EXPECTED_SELECT"),
            ("FROM conversion_action", "EXPECTED_SELECT"),
            ("SELECT", "UNEXPECTED_END_OF_QUERY"),
            (
                "SELECT conversion_action.colour FROM x",
                "UNRECOGNIZED_FIELD",
            ),
            ("SELECT conversion_action.id", "EXPECTED_FROM"),
            (
                "SELECT conversion_action.id FROM campaign",
                "BAD_RESOURCE_TYPE_IN_FROM_CLAUSE",
            ),
            (
                &format!("{select} WHERE conversion_action.id > 7"),
                "BAD_SYMBOL",
            ),
            (
                &format!("{select} WHERE conversion_action.id LIKE 7"),
                "BAD_OPERATOR",
            ),
            (
                &format!("{select} WHERE conversion_action.id IN 7"),
                "EXPECTED_LIST",
            ),
            (
                &format!("{select} WHERE conversion_action.id IN ()"),
                "PROHIBITED_EMPTY_LIST_IN_CONDITION",
            ),
            (
                &format!("{select} WHERE conversion_action.name = 'x"),
                "STRING_NOT_TERMINATED",
            ),
            (&format!("{select} LIMIT x"), "BAD_LIMIT_VALUE"),
            (
                &format!("{select} ORDER BY conversion_action.id"),
                "UNEXPECTED_INPUT",
            ),
        ] {
            let code = Query::parse(text).unwrap_err().code();
            assert_eq!(code, format!("queryError.{expected}"), "{text}");
        }
    }
}
