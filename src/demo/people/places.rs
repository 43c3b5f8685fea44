//! Where the invented people live, how they are called and how they write their phone number.
//!
//! Phone numbers come from ranges that regulators keep free for drama, so nobody is ever called: 555-01xx in North
//! America (NANPA), 030 23125xxx in Berlin (Bundesnetzagentur), 020 7946 0xxx in London (Ofcom), 01 99 00 xx xx in
//! France (Arcep), 08-465 004 xx in Stockholm (PTS). Where no such range is known, nobody has a phone.

/// One country's people.
#[derive(Debug)]
pub(super) struct Place {
    /// ISO 3166, as an application would store it.
    pub(super) country: &'static str,
    /// City, region and postal code.
    pub(super) address: (&'static str, &'static str, &'static str),
    /// First and last names.
    pub(super) names: &'static [(&'static str, &'static str)],
    /// Ways people write a number, perhaps none; `##` is replaced by two digits.
    pub(super) phones: &'static [&'static str],
}

pub(super) const PLACES: [Place; 7] = [
    Place {
        country: "US",
        address: ("Cincinnati", "OH", "45202"),
        names: &[
            ("José", "Núñez"),
            ("Mary-Jane", "O’Connor"),
            ("Ngọc", "Trần"),
            ("DeShawn", "Washington"),
            ("李", "小龍"),
        ],
        phones: &[
            "(513) 555-01##",
            "513.555.01##",
            "+1 513 555 01##",
            "1-513-555-01##",
            " 513 555 01## ",
        ],
    },
    Place {
        country: "DE",
        address: ("Berlin", "BE", "10115"),
        names: &[
            ("Jürgen", "Groß"),
            ("Zoë", "Müller-Lüdenscheidt"),
            ("Ümit", "Yılmaz"),
            ("Anna", "von der Heide"),
        ],
        phones: &[
            "030 23125 0##",
            "+49 (0)30 231250##",
            "0049 30 231250##",
            "030/231250##",
        ],
    },
    Place {
        country: "GB",
        address: ("London", "England", "SW1A 1AA"),
        names: &[
            ("Siân", "Llewellyn"),
            ("Oluwaseun", "Adébáyọ̀"),
            ("Ian", "O'Neill"),
        ],
        phones: &["020 7946 09##", "+44 20 7946 09##", "(020) 7946-09##"],
    },
    Place {
        country: "FR",
        address: ("Saint-Étienne", "ARA", "42000"),
        names: &[
            ("Héloïse", "Lefèvre"),
            ("François", "d’Aubigné"),
            ("Maëlys", "Çelik"),
        ],
        phones: &["01 99 00 12 ##", "+33 1 99 00 12 ##", "01.99.00.12.##"],
    },
    Place {
        country: "SE",
        address: ("Malmö", "Skåne", "211 20"),
        names: &[("Åsa", "Öberg"), ("Søren", "Kjærgaard")],
        phones: &["08-465 004 ##", "+46 8 465 004 ##", "00468465004##"],
    },
    Place {
        country: "PL",
        address: ("Łódź", "ŁD", "90-001"),
        names: &[("Łukasz", "Żółkiewski"), ("Małgorzata", "Wójcik")],
        phones: &[],
    },
    Place {
        country: "GR",
        address: ("Θεσσαλονίκη", "B", "546 22"),
        names: &[("Ελένη", "Παπαδοπούλου"), ("Γιώργος", "Νικολάου")],
        phones: &[],
    },
];
