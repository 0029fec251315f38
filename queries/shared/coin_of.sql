-- title: The coin of a venue's name for it
-- description: Removes the multiplier that a contract's name carries: 1000PEPE, kPEPE and PEPE1000 are PEPE,
--   1MBABYDOGE is BABYDOGE. XBT is BTC. Any script, in upper case.
-- param name VARCHAR = NULL  -- the coin as the venue spells it
-- example: SELECT coin_of('1000PEPE')
regexp_replace(regexp_replace(
    upper(regexp_replace($name, '^(10{3,}|1M|k)(\p{Lu}|\p{Lo})', '\2')),
    '^(\p{L}{2,})10{3,}$', '\1'),
    '^XBT$', 'BTC')
