-- Macros for every feed's SQL.

-- True for a frame of more JSON objects and arrays than any service sends: they would become more rows
-- than memory holds. Only a text this long can hold as many.
CREATE OR REPLACE TEMP MACRO crowded(text) AS (
    strlen(text) > 1000000
    AND 2 * strlen(text) - strlen(replace(text, '{', '')) - strlen(replace(text, '[', '')) > 1000000
);

-- A finite number or NULL: feeds send numbers as strings, empty strings and NaN.
CREATE OR REPLACE TEMP MACRO num(x) AS (
    CASE WHEN isfinite(TRY_CAST(x AS DOUBLE)) THEN TRY_CAST(x AS DOUBLE) END
);

-- A time in ns since epoch, from a number of units of `unit` nanoseconds (1000000 for ms). Zero,
-- nonsense and a number in another unit are outside 2009..2100 and become NULL: never guess.
CREATE OR REPLACE TEMP MACRO time_ns(x, unit) AS (
    CASE
        WHEN TRY_CAST(x AS BIGINT) BETWEEN 1230768000000000000 // unit AND 4102444800000000000 // unit
        THEN TRY_CAST(x AS BIGINT) * unit
    END
);

-- A time in ns since epoch, from milliseconds or microseconds: a count of one is not a time in the other.
CREATE OR REPLACE TEMP MACRO ms_or_us(x) AS (coalesce(time_ns(x, 1000000), time_ns(x, 1000)));

-- The hours between two times in ns; NULL unless they are a minute to two days apart.
CREATE OR REPLACE TEMP MACRO hours_between(from_ns, to_ns) AS (
    CASE
        WHEN to_ns - from_ns BETWEEN 60000000000 AND 172800000000000 THEN (to_ns - from_ns) / 3600e9
    END
);

-- The hours between two times of funding, where the second was announced at `at_ns`. NULL unless that was
-- within an hour after the first: no interval is shorter, so none lies between. Clocks differ by seconds.
CREATE OR REPLACE TEMP MACRO step_hours(from_ns, to_ns, at_ns) AS (
    CASE
        WHEN at_ns - from_ns BETWEEN -60000000000 AND 3599000000000 THEN hours_between(from_ns, to_ns)
    END
);

-- The hours that a rule names, NULL where the frame contradicts: its funding is further away.
CREATE OR REPLACE TEMP MACRO possible_hours(hours, at_ns, funding_ns) AS (
    CASE WHEN coalesce(funding_ns - at_ns <= hours * 3600e9 + 60e9, true) THEN hours END
);

-- A JSON object without the fields of `known`; NULL if it has no others.
CREATE OR REPLACE TEMP MACRO rest(object, known) AS (
    CAST(nullif(CAST(json_merge_patch(object, known) AS VARCHAR), '{}') AS JSON)
);

-- A text cut for use in a reason: a feed may send a name of megabytes.
CREATE OR REPLACE TEMP MACRO short(x) AS (
    CASE WHEN length(x) > 60 THEN left(x, 60) || '...' ELSE x END
);

-- The value in US dollars of a size in contracts (or in base currency, if a contract is one unit of
-- it); NULL if the contract is unknown. `price` is in dollars or in a stablecoin, which counts as one.
CREATE OR REPLACE TEMP MACRO notional(quantity, price, size, unit) AS (
    CASE unit WHEN 'base' THEN num(quantity * size * price) WHEN 'usd' THEN num(quantity * size) END
);

-- The same where the quote currency may be none of dollars: NULL unless `dollars` is true.
CREATE OR REPLACE TEMP MACRO value_usd(quantity, price, size, unit, dollars) AS (
    CASE
        WHEN unit = 'base' AND dollars THEN num(quantity * size * price)
        WHEN unit = 'usd' THEN num(quantity * size)
    END
);

-- The size in base currency of a size in contracts; NULL if the contract is unknown.
CREATE OR REPLACE TEMP MACRO in_base(quantity, price, size, unit) AS (
    CASE unit WHEN 'base' THEN num(quantity * size) WHEN 'usd' THEN num(quantity * size / nullif(price, 0)) END
);

-- The fields of a JSON object that no column holds; NULL if there are none. `known` names the fields of
-- the table's columns, except for those of every table: type, channel, exchange, symbol and, if
-- it was understood (event_ns), the time. `held` is the number of all these fields in the object: for
-- most objects, comparing it with the number of keys is enough.
CREATE OR REPLACE TEMP MACRO leftover(object, held, event_ns, known) AS (
    CASE
        WHEN len(json_keys(object)) > held THEN rest(
            json_merge_patch(
                object, '{"type": null, "channel": null, "exchange": null, "symbol": null}',
                CASE
                    WHEN event_ns IS NULL THEN '{}' ELSE '{"timestamp": null, "time": null, "ts": null}'
                END
            ), known
        )
    END
);
