-- title: How many coins one unit of a name stands for
-- description: 1000 for 1000PEPE, kPEPE and SHIB1000, a million for 1MBABYDOGE, 1 for BTC.
-- param name VARCHAR = NULL  -- the coin as the venue spells it
-- example: SELECT scale_of('1000PEPE')
CASE
    WHEN regexp_matches($name, '^1M\p{Lu}') THEN 1000000.0
    WHEN regexp_matches($name, '^k\p{Lu}') THEN 1000.0
    ELSE coalesce(
        TRY_CAST(nullif(regexp_extract($name, '^(10{3,})(\p{Lu}|\p{Lo})', 1), '') AS DOUBLE),
        TRY_CAST(nullif(regexp_extract($name, '^\p{L}{2,}(10{3,})$', 1), '') AS DOUBLE),
        CASE WHEN $name IS NOT NULL THEN 1.0 END
    )
END
