-- Small functions that every feed's SQL may use.

-- A finite number, or NULL: feeds send numbers as strings, empty strings, NaN.
CREATE OR REPLACE TEMP MACRO num(x) AS (
    CASE WHEN isfinite(TRY_CAST(x AS DOUBLE)) THEN TRY_CAST(x AS DOUBLE) END
);

-- A time as ns since epoch, from a count of `unit` nanoseconds (1000000 for ms). Zero, nonsense and
-- a count in another unit fall outside 2009..2100 and are NULL: never guess.
CREATE OR REPLACE TEMP MACRO time_ns(x, unit) AS (
    CASE
        WHEN TRY_CAST(x AS BIGINT) BETWEEN 1230768000000000000 // unit AND 4102444800000000000 // unit
        THEN TRY_CAST(x AS BIGINT) * unit
    END
);

-- What is left of a JSON object after the named fields are taken out; NULL if nothing is.
CREATE OR REPLACE TEMP MACRO rest(object, known) AS (
    CAST(nullif(CAST(json_merge_patch(object, known) AS VARCHAR), '{}') AS JSON)
);

-- A word for a reason: what a feed sends as a name may be megabytes long.
CREATE OR REPLACE TEMP MACRO short(x) AS (
    CASE WHEN length(x) > 60 THEN left(x, 60) || '...' ELSE x END
);

-- The value in US dollars of a size in contracts (or in base currency, where a contract is one unit
-- of it); NULL where the contract is unknown. Stablecoins count as dollars,
-- so that `price` is taken to be in dollars.
CREATE OR REPLACE TEMP MACRO notional(quantity, price, size, unit) AS (
    CASE unit WHEN 'base' THEN num(quantity * size * price) WHEN 'usd' THEN num(quantity * size) END
);

-- The same size in base currency; NULL where the contract is unknown.
CREATE OR REPLACE TEMP MACRO in_base(quantity, price, size, unit) AS (
    CASE unit WHEN 'base' THEN num(quantity * size) WHEN 'usd' THEN num(quantity * size / nullif(price, 0)) END
);

-- The fields of a JSON object that no column holds; NULL where there are none. `known` names those that
-- a table holds, beside the type, channel, exchange and symbol that each does and, where it was
-- understood (event_ns), the time. `found` is how many of all these there are: most objects need no
-- more than a count.
CREATE OR REPLACE TEMP MACRO leftover(object, found, event_ns, known) AS (
    CASE
        WHEN len(json_keys(object)) > found THEN rest(
            json_merge_patch(
                object, '{"type": null, "channel": null, "exchange": null, "symbol": null}',
                CASE
                    WHEN event_ns IS NULL THEN '{}' ELSE '{"timestamp": null, "time": null, "ts": null}'
                END
            ), known
        )
    END
);
