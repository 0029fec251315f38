-- title: What an exchange's announcement is about, by its title
-- description: spot_listing, spot_delisting, futures_listing, futures_delisting, hodler_airdrop,
--   monitoring_tag_extend, monitoring_tag_remove or caution_released where the title has a known form,
--   else NULL. A withdrawn or postponed notice, and one about margin, options or pairs, has none.
-- param title VARCHAR = NULL  -- the title
-- example: SELECT title_type('Binance Will List Optimism (OP)')
CASE
    WHEN regexp_matches($title, '철회|취소|연기|보류|(?i:\b(?:cancel|postpon|withdraw|revok|reinstat)\w*|\bwill not (?:de)?list\b)')
        THEN NULL
    WHEN regexp_matches($title, '(?i)\bmonitoring tags?\b')
        THEN CASE
            WHEN regexp_matches($title, '(?i)\bremov') THEN 'monitoring_tag_remove'
            WHEN regexp_matches($title, '(?i)\b(?:extend|includ|appl|add)') THEN 'monitoring_tag_extend'
        END
    WHEN regexp_matches($title, '유의\s*종목\s*(?:지정\s*)?해제') THEN 'caution_released'
    WHEN regexp_matches($title, '\b(?:Margin|Options?|Loans?|Earn|Convert|Pool|Alpha|P2P) (?:[Ww]ill|[Tt]o)\b') THEN NULL
    WHEN regexp_matches($title, '(?i:\bdelist(?:s|ed|ing|ings)?\b)|거래\s*지원\s*종료|상장\s*폐지')
        AND regexp_matches($title, '[^a-z ]')
        THEN CASE
            WHEN regexp_matches($title, '(?i)\bfutures\b|perpetual|\bperps?\b|[A-Z0-9]PERP\b|선물') THEN 'futures_delisting'
            ELSE 'spot_delisting'
        END
    WHEN regexp_matches($title, '(?i)\bfutures\b|perpetual|\bperps?\b|[A-Z0-9]PERP\b|선물')
        AND regexp_matches($title, '\b\p{Lu}\w* (?:[Ww]ill|[Hh]as|[Tt]o) (?:[Ll]ist|[Ll]aunch)(?:ed)?\b|(?i:\bnew listings?\b|\bnow launched\b|\b(?:now )?listed on\b|\bis now available\b)')
        THEN 'futures_listing'
    WHEN regexp_matches($title, '\b\p{Lu}\w* (?:[Ww]ill|[Tt]o) [Ll]ist\b|신규 거래\s*지원|마켓 추가|자산 추가|신규 상장|Market Support for '
        || '|(?i:\bnew listings?:|\blisted on\b|\bworld premiere\b|\bwill add support for\b|\blaunching on\b|\b(?:is|are) now available on\b)')
        THEN 'spot_listing'
    WHEN regexp_matches($title, '(?i)\bHODLer Airdrops?\b') THEN 'hodler_airdrop'
END
