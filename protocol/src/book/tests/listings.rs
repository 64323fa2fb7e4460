//! What the book shows.

use super::*;

fn stocked() -> (Desk, Vec<SeriesId>) {
    let (mut desk, ann, ben) = (Desk::new(), provider(10), provider(20));
    let price = |coins| Price { amount: Stroops::whole(coins), ..ann.offering(1).price };
    let mut ids = Vec::new();
    for n in 1..=5u8 {
        let offering = Offering { price: price(n.into()), title: format!("Red Snapper {n}"), ..ann.offering(n) };
        ids.push(desk.list(&ann.sign(offering)));
    }
    ids.push(desk.list(&ben.sign(Offering { title: "Cod".into(), ..ben.offering(6) })));
    desk.verdict(&ann.presence(0));
    desk.verdict(&ben.presence(0));
    (desk, ids)
}

fn total(desk: &Desk, filter: &Filter) -> usize {
    desk.book.listing(filter, Page::default(), at(0)).unwrap().total
}

#[test]
fn a10_filters_combine_and_totals_count_all_pages() {
    let (mut desk, ids) = stocked();
    let (ann, ben) = (provider(10), provider(20));
    let with = |change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    assert_eq!(total(&desk, &Filter::default()), 6);
    assert_eq!(total(&desk, &with(|f| f.text = Some("snapper RED".into()))), 5);
    assert_eq!(total(&desk, &with(|f| f.text = Some("red herring".into()))), 0);
    assert_eq!(total(&desk, &with(|f| f.min_price = Some(Stroops::whole(3)))), 3);
    assert_eq!(
        total(&desk, &with(|f| (f.min_price, f.max_price) = (Some(Stroops::whole(2)), Some(Stroops::whole(4))))),
        4
    );
    assert_eq!(total(&desk, &with(|f| f.unit = Some(Unit::Call))), 0);
    assert_eq!(total(&desk, &with(|f| f.asset = Some(Asset::Native))), 6);
    assert_eq!(total(&desk, &with(|f| f.template = Some(TemplateId::from_bytes([0; 32])))), 0);
    let author = Some(AccountId::of(&ben.account));
    assert_eq!(total(&desk, &Filter { author, ..Filter::default() }), 1);
    assert_eq!(total(&desk, &Filter { exclude: author, ..Filter::default() }), 5);
    assert_eq!(total(&desk, &Filter { exclude: author, max_price: Some(Stroops::whole(2)), ..Filter::default() }), 2);

    desk.verdict(&ann.status(ids[0], 1, 0, false));
    assert_eq!(total(&desk, &with(|f| f.with_free_supply = true)), 5);
    desk.verdict(&ann.status(ids[1], 1, 0, true));
    assert_eq!(total(&desk, &Filter::default()), 5);
    assert_eq!(total(&desk, &with(|f| f.only_live = false)), 6);
    let later = desk.book.listing(&Filter::default(), Page::default(), at(30)).unwrap();
    assert_eq!(later.total, 0, "nobody was heard of for the presence's life");
}

#[test]
fn a10_pages_follow_one_another_without_gap_or_overlap() {
    let (desk, _) = stocked();
    let page = |offset| desk.book.listing(&Filter::default(), Page { offset, limit: 4 }, at(0)).unwrap();
    let series: Vec<SeriesId> = [page(0), page(4)].iter().flat_map(|p| p.items.iter().map(|l| l.series)).collect();
    assert_eq!(series.len(), 6);
    assert!(series.is_sorted());
    assert_eq!((page(0).total, page(4).total, page(8).items.len()), (6, 6, 0));
}

#[test]
fn a10_a_price_range_that_is_empty_and_an_impossible_page_are_errors() {
    let (desk, _) = stocked();
    let (from, to) = (Stroops::whole(2), Stroops::whole(1));
    let filter = Filter { min_price: Some(from), max_price: Some(to), ..Filter::default() };
    let error = desk.book.listing(&filter, Page::default(), at(0)).unwrap_err();
    assert_eq!(error, ListingError::PriceRange { from, to });
    for limit in [0, Page::MAX + 1] {
        let error = desk.book.listing(&Filter::default(), Page { offset: 0, limit }, at(0)).unwrap_err();
        assert_eq!(error, ListingError::PageLimit(limit));
    }
}

#[test]
fn an_offering_is_found_by_its_id_its_series_or_the_beginning_of_either() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let one = ann.sign(ann.offering(1));
    let series = desk.list(&one);
    let two = ann.sign(Offering { series: Some(series), revision: 2, ..ann.offering(1) });
    desk.list(&two);
    for name in [series.to_string(), two.id().to_string(), two.id().to_string()[..6].to_owned()] {
        assert_eq!(desk.book.get(&name, at(0)).unwrap().id, two.id(), "{name}");
    }
    for name in ["", "abc", "ABCDEF", "zzzzzz", &"0".repeat(65)] {
        assert!(matches!(desk.book.get(name, at(0)), Err(FindError::NotAnId(_))), "{name}");
    }
    let other = if series.to_string().starts_with('0') { "111111" } else { "000000" };
    assert!(matches!(desk.book.get(other, at(0)), Err(FindError::NotFound(_))));
}

#[test]
fn a_prefix_of_two_offerings_is_ambiguous() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let series: Vec<String> = (1..4).map(|n| desk.list(&ann.sign(ann.offering(n))).to_string()).collect();
    let (low, high) = super::listing::bounds(&"0".repeat(6)).unwrap();
    assert_eq!((low, high[..3].to_vec(), high[3]), ([0; 32], vec![0; 3], 0xff));
    assert_eq!(desk.book.named([0; 32], [0xff; 32]).len(), series.len(), "each once, by either id");
}

#[test]
fn ids_come_in_pages_in_one_stable_order() {
    let (desk, _) = stocked();
    let all = desk.book.ids(None, 100);
    assert_eq!(all.len(), 8);
    let mut paged = Vec::new();
    while paged.len() < all.len() {
        let page = desk.book.ids(paged.last().copied(), 3);
        assert!(!page.is_empty() && page.len() <= 3);
        paged.extend(page);
    }
    assert_eq!(paged, all);
    assert!(desk.book.ids(paged.last().copied(), 3).is_empty());
    assert!(all.is_sorted_by_key(|(kind, id)| (kind.number(), *id)));
}

#[test]
fn a_newcomer_that_takes_all_ids_in_their_order_has_the_same_book() {
    let (desk, ids) = stocked();
    let mut newcomer = Desk::new();
    for (_, id) in desk.book.ids(None, 100) {
        let packed = desk.book.message(&id).unwrap().clone();
        newcomer.verdict(&packed);
        if packed.kind() == Kind::Offering {
            newcomer.bond(&id);
        }
    }
    assert_eq!(newcomer.book.ids(None, 100), desk.book.ids(None, 100));
    assert!(ids.iter().all(|id| newcomer.show(*id).live));
}

#[test]
fn a_restart_changes_nothing_that_is_shown() {
    let (mut desk, ids) = stocked();
    desk.verdict(&provider(10).status(ids[0], 3, 1, false));
    let look = |desk: &Desk| format!("{:?}", desk.book.listing(&Filter::default(), Page::default(), at(0)).unwrap());
    let (before, stored) = (look(&desk), desk.store.0.clone());
    assert!(desk.restart(0).is_empty());
    assert_eq!(look(&desk), before);
    assert_eq!(desk.store.0, stored);
}
